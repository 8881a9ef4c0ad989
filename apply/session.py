"""One connection to the target and what lives and dies with it: prepared tables, settings, staging tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
import structlog
from psycopg.adapt import Dumper

from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

_log = structlog.get_logger()

#: Staging tables kept per connection. At every commit PostgreSQL empties all of them, used or not.
_STAGES: Final = 32


class Text(bytes):
    """A parameter that is already the input text of whatever type the statement gives it."""

    __slots__ = ()


class _TextDumper(Dumper):
    """Sends the bytes as text of unknown type, so that PostgreSQL assigns them to columns as COPY does."""

    def dump(self, obj: Text) -> bytes:
        return bytes(obj)


class Session:
    """A connection that opens when it is first needed and again after :meth:`close`.

    All statements run inside a transaction that the first of them begins. ``known`` holds whatever was learnt about
    the target; it is forgotten with every rollback, because what was learnt may have been rolled back too.
    """

    def __init__(self, open_connection: Callable[[], psycopg.Connection]) -> None:
        self.known: dict[Hashable, Any] = {}
        self._open = open_connection
        self._connection: psycopg.Connection | None = None
        self._begun = False
        self._stages: dict[str, bool] = {}
        self._made: list[str] = []
        self._used: set[str] = set()

    @property
    def connection(self) -> psycopg.Connection:
        """The open connection; raises Unreachable or Refused when there is none to be had."""
        if self._connection is None:
            self._connection = self._open()
            # BEGIN is ours: the driver would wait for the answer to its own before it sends anything more.
            self._connection.autocommit = True
            self._connection.adapters.register_dumper(Text, _TextDumper)
        return self._connection

    @property
    def pid(self) -> int:
        """The server process of the connection."""
        return self.connection.info.backend_pid

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send the statements of this context without waiting in between; their results are there when it ends.

        Once one fails, the server skips the rest, a COMMIT too, and the context raises its error. No COPY here.
        """
        with self.connection.pipeline():
            yield

    def execute(self, statement: LiteralString, parameters: Sequence[object] | None = None) -> psycopg.Cursor[Any]:
        """Run one statement and return its cursor."""
        return self._begin().execute(statement, parameters)

    def run(self, text: str) -> psycopg.Cursor[Any]:
        """Run SQL whose names were quoted by runtime.postgres; nothing in it is read as a placeholder."""
        return self._begin().execute(text.encode())

    def fill(self, text: str, parameters: Sequence[object]) -> None:
        """Run such SQL with the server's own placeholders, ``$1`` and so on: the driver reads none of it."""
        psycopg.RawCursor(self._begin()).execute(text.encode(), parameters)

    def many(self, text: str, rows: Iterable[Sequence[object]]) -> int:
        """Run SQL with ``%s`` placeholders once per row, in one round trip; return the number of rows affected."""
        with self._begin().cursor() as cursor:
            cursor.executemany(text.encode(), rows)
            return cursor.rowcount

    def copy(self, text: str, stretches: Iterable[bytes]) -> int:
        """Run ``COPY ... FROM STDIN`` with these stretches of COPY text; return the number of rows."""
        with self._begin().cursor() as cursor:
            with cursor.copy(text.encode()) as copy:
                for stretch in stretches:
                    copy.write(stretch)
            return cursor.rowcount

    def stage(self, name: str, create: str) -> None:
        """Have an empty temporary table of this name; ``create`` makes it if it does not exist.

        It must empty itself at the end of the transaction.
        """
        if name not in self._stages:
            self._make_room()
            self.run(create)
            self._made.append(name)
            self._stages[name] = True
        elif name in self._used:
            self.run(f"TRUNCATE pg_temp.{postgres.quote(name)}")
        self._used.add(name)

    def commit(self) -> None:
        """Commit (within :meth:`together`: by its end).

        After an exception only the checkpoint row can tell whether it happened.
        """
        if self._begun:
            self.connection.execute("COMMIT", prepare=False)
        self._begun = False
        self._made.clear()
        self._used.clear()

    def rollback(self) -> None:
        """Undo the open transaction, and close the connection if even that fails."""
        self.known.clear()
        self._begun = False
        for name in self._made:
            self._stages.pop(name, None)
        self._made.clear()
        self._used.clear()
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except psycopg.Error as error:
            _log.warning("target.rollback_failed", error=postgres.describe(error))
            self.close()

    def close(self) -> None:
        """End the connection, and with it an open transaction; safe to call twice."""
        connection, self._connection = self._connection, None
        self._begun = False
        self.known.clear()
        self._stages.clear()
        self._made.clear()
        self._used.clear()
        if connection is not None:
            connection.close()

    def _begin(self) -> psycopg.Connection:
        if not self._begun:
            self.connection.execute("BEGIN", prepare=False)
            self._begun = True
        return self.connection

    def _make_room(self) -> None:
        while len(self._stages) >= _STAGES:
            name = next((name for name in self._stages if name not in self._used), None)
            if name is None:
                return
            self.run(f"DROP TABLE pg_temp.{postgres.quote(name)}")
            del self._stages[name]
