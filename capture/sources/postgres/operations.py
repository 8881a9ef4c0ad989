"""What the command line asks of a PostgreSQL source: marks in its log, the state of the slot, checks and teardown."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from capture.operations import LogState
from capture.sources.postgres import checks, teardown
from runtime.errors import Unreachable
from runtime.postgres import address, connect, describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from capture.operations import Operations
    from runtime.config import Selection, SourceConfig
    from runtime.errors import Fault
    from schemas.positions import StreamRecord

_PLACE: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
#: Within a transaction of its own, so that its commit flushes the log up to here at once.
_MESSAGE: Final = "SELECT pg_logical_emit_message(true, 'ferryman', '')"

_SLOT: Final = """
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, coalesce(s.wal_status, 'missing'), coalesce(s.active, false),
       pg_current_wal_insert_lsn() - s.restart_lsn
FROM (SELECT) one LEFT JOIN pg_replication_slots s ON s.slot_name = %s"""


@dataclass(frozen=True, slots=True)
class PostgresMark:
    """A log position in bytes."""

    lsn: int

    def missing(self, stream: StreamRecord) -> str | None:
        """Return how many bytes of log lie between the saved position and the mark, in words."""
        behind = self.lsn - int(stream.resume.get("lsn", 0))
        return f"{behind:,} bytes of log" if behind > 0 else None


class PostgresSession:
    """A session in autocommit mode."""

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        self._connection = connect(config.conninfo, application_name="ferryman operate", autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def mark(self) -> PostgresMark:
        """Return the end of the log, and write a message behind it."""
        with self._translated():
            place = self._row(_PLACE)
            self._connection.execute(_MESSAGE)
        return PostgresMark(int(place[0]))

    def look(self, stream: StreamRecord | None) -> LogState:
        """Return the state of the pipeline's slot."""
        with self._translated():
            end, status, active, retained = self._row(_SLOT, self._config.slot.name)
        behind = None if stream is None else max(0, int(end) - int(stream.resume.get("lsn", 0)))
        return LogState(status, active, behind, None if retained is None else int(retained))

    def _row(self, query: str, *parameters: str) -> tuple[Any, ...]:
        row = self._connection.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise Unreachable(describe(error), address(self._config.conninfo)) from None


class PostgresOperations:
    """See :class:`capture.operations.Operations`."""

    def session(self, pipeline: str, config: SourceConfig) -> PostgresSession:  # noqa: ARG002 - the slot has a name
        """Open a session."""
        return PostgresSession(config)

    def check(self, config: SourceConfig, selection: Selection) -> list[Fault]:
        """Return privileges, settings and replica identities that are missing."""
        return checks.check(config, selection)

    def warnings(self, config: SourceConfig, selection: Selection) -> list[Fault]:  # noqa: ARG002 - the contract's
        """Return what the source had better have."""
        return checks.warnings(config)

    def made(self, config: SourceConfig) -> list[str]:
        """Return slot and publication, if they are ours."""
        return teardown.made(config)

    def teardown(self, config: SourceConfig) -> list[str]:
        """Drop slot and publication."""
        return teardown.teardown(config)


OPERATIONS: Operations = PostgresOperations()
