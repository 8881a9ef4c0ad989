"""What the command line asks of a MySQL or MariaDB source: marks in its log, how much of it is left to read, checks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymysql

from capture.operations import LogState
from capture.source import SourceUnavailable
from capture.sources.mysql import bounds, checks, server
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.source import turn
from runtime.errors import Unreachable
from runtime.mysql import address, connect, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from capture.operations import Operations
    from capture.sources.mysql.server import Gtids, Server
    from runtime.config import Selection, SourceConfig
    from runtime.errors import Fault
    from schemas.positions import StreamRecord


@dataclass(frozen=True, slots=True)
class MySQLMark:
    """The end of a server's log, with the ids of the transactions before it, and the log's files at that moment."""

    server: Server
    place: Place
    gtids: Gtids
    files: Sequence[tuple[str, int]]

    def missing(self, stream: StreamRecord) -> str | None:
        """Return how many bytes of log lie between the saved position and the mark, in words.

        The places of another server mean nothing here: there the transactions' ids must tell.
        """
        saved = stream.resume.get("place")
        if stream.identity.get("server") == self.server.uid and saved:
            place = Place.load(saved)
            return None if place >= self.place else f"{max(1, bounds.distance(self.files, place)):,} bytes of log"
        if self.server.gtids and stream.identity.get("kind") == self.server.kind:
            known = self.server.parse(str(stream.resume.get("gtids", "")))
            if known.covers(self.gtids):  # type: ignore[arg-type]  # of one kind, as was just asked
                return None
        return "the log of another server"


class MySQLSession:
    """A session in autocommit mode."""

    def __init__(self, pipeline: str, config: SourceConfig) -> None:
        self._config, self._turn = config, turn(pipeline, config)
        self._connection = connect(
            config.conninfo, program_name="ferryman operate", answer_s=config.answer_timeout_seconds
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.open:
            self._connection.close()

    def mark(self) -> MySQLMark:
        """Return the end of the log; a stream without anything to read hears of it with the next heartbeat."""
        with self._translated():
            known = server.inspect(self._connection)
            place, gtids = server.end(self._connection, known)
            return MySQLMark(known, place, gtids, server.log_files(self._connection))

    def look(self, stream: StreamRecord | None) -> LogState:
        """Return how much of the log is left to read; whether capture is connected is told by its lock."""
        with self._translated():
            files = server.log_files(self._connection)
            active = server.value(self._connection, "SELECT IS_FREE_LOCK(%s)", self._turn) == 0
        kept = sum(size for _, size in files)
        saved = stream.resume.get("place") if stream is not None else None
        if saved is None:
            return LogState(None, active, None, kept)
        there = any(name == saved["file"] for name, _ in files)
        return LogState("reserved" if there else "lost", active, bounds.distance(files, Place.load(saved)), kept)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        where = address(self._config.conninfo)
        try:
            yield
        except (pymysql.MySQLError, OSError) as error:
            raise Unreachable(describe(error), where) from None
        except SourceUnavailable as error:
            raise Unreachable(error.what, where, error.fix) from None


class MySQLOperations:
    """See :class:`capture.operations.Operations`."""

    def session(self, pipeline: str, config: SourceConfig) -> MySQLSession:
        """Open a session."""
        return MySQLSession(pipeline, config)

    def check(self, config: SourceConfig, selection: Selection) -> list[Fault]:
        """Return everything that keeps capture from running."""
        return checks.check(config, selection)

    def warnings(self, config: SourceConfig, selection: Selection) -> list[Fault]:
        """Return what the source and the selected tables had better have."""
        return checks.warnings(config, selection)

    def made(self, config: SourceConfig) -> list[str]:  # noqa: ARG002 - the contract's
        """Return nothing: a MySQL server keeps its log for everybody, and nothing is made there."""
        return []

    def teardown(self, config: SourceConfig) -> list[str]:  # noqa: ARG002 - the contract's
        """Take nothing away: see :meth:`made`."""
        return []


OPERATIONS: Operations = MySQLOperations()
