"""One side of a comparison: runs a plan's statements on one PostgreSQL connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from operate.validate.compare import Entry, Id, Seen, Sum
from operate.validate.queries import Queries
from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

    from operate.validate.queries import Bounds, Statement
    from operate.validate.shape import Place, Plan

#: Entries fetched at a time.
_FETCH: Final = 5_000

#: Sessions that compare: no compilation (it takes longer than most statements), no effect on the data.
SETTINGS: Final = (
    "SET jit = off",
    "SET default_transaction_read_only = on",
    "SET default_transaction_isolation = 'read committed'",
    "SET idle_in_transaction_session_timeout = 0",
)

_FROZEN: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class End(Protocol):
    """A connection to one of the two servers, on which either side of a table can be read."""

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""

    def side(self, plan: Plan) -> Side:
        """Return this server's side of a table."""

    def cancel(self) -> None:
        """End what another thread has running on it."""

    def close(self) -> None:
        """End the connection."""


class PostgresEnd:
    """An :class:`End` in PostgreSQL; ``place`` picks the side's place of a plan."""

    def __init__(self, conninfo: str, place: Callable[[Plan], Place]) -> None:
        self.connection = postgres.connect(conninfo, application_name="ferryman validate", autocommit=True)
        self._place = place
        for setting in SETTINGS:
            self.connection.execute(setting.encode())

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self.connection.closed

    def side(self, plan: Plan) -> PostgresSide:
        """Return this server's side of a table."""
        return PostgresSide(self.connection, plan, self._place(plan))

    def cancel(self) -> None:
        """End what another thread has running on it."""
        postgres.cancel(self.connection)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()


class Side(Protocol):
    """The rows of one table on one server."""

    def border(self, low: Id | None, rows: int) -> Id | None:
        """Return the key ``rows`` rows above ``low``; None when fewer are left."""

    def total(self, bounds: Bounds) -> Sum:
        """Return the sum of all rows within ``bounds``."""

    def buckets(self, bounds: Bounds, mask: int) -> dict[int, Sum]:
        """Return the sums of the rows within ``bounds`` by bucket: the bits of ``mask`` in the id's hash."""

    def entries(self, bounds: Bounds, mask: int, buckets: list[int] | None) -> Iterator[Entry]:
        """Yield the ids within ``bounds`` and these buckets (None: all), by rising bucket hash."""

    def lookup(self, ids: list[Id]) -> dict[Id, Seen]:
        """Return these ids as they are now; absent ones are left out."""

    def rows(self, ids: list[Id]) -> Iterator[bytes]:
        """Yield the rows of these ids as COPY text of the compared columns."""

    def frozen(self) -> AbstractContextManager[None]:
        """Have all readings within it show one state of the server."""


class PostgresSide:
    """A :class:`Side` in PostgreSQL. Raises psycopg.Error. Not thread-safe."""

    def __init__(self, connection: psycopg.Connection[Any], plan: Plan, place: Place) -> None:
        self._connection, self._queries = connection, Queries(plan, place)

    def border(self, low: Id | None, rows: int) -> Id | None:
        """Return the key ``rows`` rows above ``low``; None when fewer are left."""
        row = self._run(self._queries.border(low, rows)).fetchone()
        return tuple(row[0]) if row is not None else None

    def total(self, bounds: Bounds) -> Sum:
        """Return the sum of all rows within ``bounds``."""
        row = self._run(self._queries.total(bounds)).fetchone()
        assert row is not None
        return _sum(row)

    def buckets(self, bounds: Bounds, mask: int) -> dict[int, Sum]:
        """Return the sums of the rows within ``bounds`` by bucket."""
        return {row[0]: _sum(row) for row in self._run(self._queries.buckets(bounds, mask))}

    def entries(self, bounds: Bounds, mask: int, buckets: list[int] | None) -> Iterator[Entry]:
        """Yield the ids within ``bounds`` and these buckets, by rising bucket hash; the server holds the rest."""
        statement = self._queries.entries(bounds, mask, buckets)
        with self._connection.transaction(), self._connection.cursor(f"entries_{id(statement)}") as cursor:
            cursor.itersize = _FETCH
            for row in cursor.execute(statement.query, statement.parameters):
                yield Entry(row[0], tuple(row[1]), _sum(row[1:]))

    def lookup(self, ids: list[Id]) -> dict[Id, Seen]:
        """Return these ids as they are now; absent ones are left out."""
        rows = self._run(self._queries.lookup(ids)) if ids else ()
        return {tuple(row[0]): Seen(_sum(row), row[4]) for row in rows}

    def rows(self, ids: list[Id]) -> Iterator[bytes]:
        """Yield the rows of these ids as COPY text of the compared columns."""
        statement = self._queries.copy_out(ids)
        with self._connection.cursor().copy(statement.query, statement.parameters) as reader:
            yield from map(bytes, reader)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all readings within it show one state of the server."""
        with self._connection.transaction():
            self._connection.execute(_FROZEN)
            yield

    def _run(self, statement: Statement) -> psycopg.Cursor[Any]:
        return self._connection.execute(statement.query, statement.parameters, prepare=False)


def _sum(row: tuple[Any, ...]) -> Sum:
    """Return columns 1 to 3 of a row as a sum."""
    return Sum(row[1], int(row[2]), int(row[3]))
