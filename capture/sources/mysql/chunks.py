"""Reading one chunk in a worker process: a consistent snapshot whose place in the log is known, then the rows.

Rules 1, 2 and 5 of the chunk merge. A table that is altered after the snapshot and before its first row was asked for
is refused by the server itself (error 1412); afterwards the open transaction holds its definition.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pymysql
from pymysql.constants import ER

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable, key_values
from capture.sources.mysql import catalog, plan, row_packets, server
from capture.sources.mysql.faults import translated
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.query import select_list
from capture.sources.mysql.row_images import forms
from capture.sources.mysql.visibility import Snapshot
from runtime.errors import Unreachable
from runtime.mysql import connect, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymysql.connections import Connection

    from capture.source import FoundTable
    from capture.sources.mysql.catalog import Version
    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from capture.sources.mysql.row_packets import Stretch
    from runtime.config import SourceConfig

#: Where a table must be locked and cannot be: how long its writers are left in peace, in seconds.
_LOCK_PAUSE_S: Final = 1.0
#: Keys asked for with one statement.
_KEYS_AT_ONCE: Final = 500
_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """What a worker needs to connect; pickles. The URL holds the password, so it is never shown.

    ``uid`` is the server whose log is streamed: places of another one mean nothing. In seconds: for how long the server
    may be silent, how long writers of a table may wait behind our lock of it, and how long that lock is tried for.
    """

    url: str = field(repr=False)
    program_name: str
    uid: str
    answer_s: float
    lock_s: int
    patience_s: float


def access(config: SourceConfig, program_name: str, uid: str) -> Access:
    """Return what a worker needs to connect as a pipeline file says it."""
    answer_s = config.answer_timeout_seconds
    lock_s = max(1, int(min(config.lock_timeout_seconds, answer_s / 2)))  # the server takes whole seconds
    return Access(config.conninfo, program_name, uid, answer_s, lock_s, config.snapshot.lock_timeout_seconds)


def drop(conn: Any) -> None:
    """Close a connection at once: rows may still be on their way."""
    conn._force_close()  # noqa: SLF001 - the public way would say goodbye first


@dataclass(slots=True)
class _Session:
    """A worker's connections: one that reads, and one that locks and looks at the catalog beside it."""

    reads: Connection[Any]
    beside: Connection[Any]
    server: server.Server
    access: Access


#: This process' sessions, kept between chunks.
_sessions: dict[Access, _Session] = {}


def read_chunk(request: ChunkRequest) -> ChunkRead:
    """Read one chunk, or the rows of some keys, into a file of ``request.spool``.

    Raises SourceUnavailable when the server went away or a lock could not be had, SourceError when the table is gone
    or may not be read.
    """
    access = request.connection
    try:
        with translated(f"table {request.table.name} cannot be read"):
            return _read(_session(access), request)
    except Unreachable as error:
        raise SourceUnavailable(error.what, error.fix) from None
    except SourceError:
        _forget(access)
        raise


def _session(access: Access) -> _Session:
    session = _sessions.get(access)
    if session is None:
        reads, beside = (
            connect(access.url, program_name=access.program_name, answer_s=access.answer_s) for _ in range(2)
        )
        session = _sessions[access] = _Session(reads, beside, server.inspect(beside), access)
        if session.server.uid != access.uid or server.inspect(reads).uid != access.uid:
            raise SourceUnavailable("the address leads to another server than the stream's")
    return session


def _forget(access: Access) -> None:
    session = _sessions.pop(access, None)
    if session is not None:
        drop(session.reads)
        drop(session.beside)


def _read(session: _Session, request: ChunkRequest) -> ChunkRead:
    table = request.table
    snapshot = _snapshot(session, table)
    try:
        # From here on the transaction holds the table's definition.
        server.rows(session.reads, f"SELECT 1 FROM {quote(table.namespace, table.table)} LIMIT 0")
        version = _version(session, table)
        statements = _statements(request, version)
        if statements is None:
            session.reads.rollback()  # or whoever alters the table next would wait for us
            return ChunkRead(version.schema, snapshot, snapshot.place.dump(), 0, None, stale=True)
        change = row_packets.formed(
            [forms.selected(column) for column in version.columns],
            ascii_is_itself=all(forms.keeps_ascii(column) for column in version.columns),
        )
        with _spooled(request.spool) as (path, file):
            rows = sum(_copy(session.reads, statement, file, change) for statement in statements)
    except forms.UnreadableValue as error:
        raise SourceError(f"table {table.name} cannot be read: {error}") from None
    except row_packets.CutOff:
        what = f"table {table.name} has text that is larger than the server's max_allowed_packet"
        raise SourceError(what, "SET GLOBAL max_allowed_packet = 1073741824;") from None
    session.reads.rollback()
    return ChunkRead(version.schema, snapshot, snapshot.place.dump(), rows, path)


# --- the snapshot -----------------------------------------------------------------------------------------------------


def _snapshot(session: _Session, table: FoundTable) -> Snapshot:
    server.rows(session.reads, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if not session.server.lock_free:
        return _locked_snapshot(session, table)
    server.rows(session.reads, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    return Snapshot(place_of_snapshot(session.reads))


def place_of_snapshot(conn: Connection[Any]) -> Place:
    """Return the place in the log of the consistent snapshot that is open; raises the driver's errors."""
    status = dict(server.rows(conn, "SHOW STATUS LIKE 'binlog_snapshot_%'"))
    known = {str(name).lower(): value for name, value in status.items()}
    return Place.of(str(known["binlog_snapshot_file"]), int(known["binlog_snapshot_position"]))


def _locked_snapshot(session: _Session, table: FoundTable) -> Snapshot:
    """Hold the table still for a moment: no transaction that changed it is then between its commit and its log."""
    _lock(session.beside, table, session.access)
    try:
        server.rows(session.reads, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        return Snapshot(server.place(session.beside))
    finally:
        server.rows(session.beside, "UNLOCK TABLES")


def _lock(conn: Connection[Any], table: FoundTable, access: Access) -> None:
    server.rows(conn, f"SET SESSION lock_wait_timeout = {access.lock_s}")
    deadline = time.monotonic() + access.patience_s
    while True:
        try:
            server.rows(conn, f"LOCK TABLES {quote(table.namespace, table.table)} READ")
        except pymysql.err.OperationalError as error:
            if error.args[0] != ER.LOCK_WAIT_TIMEOUT or time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_PAUSE_S)
        else:
            return


# --- what to read -----------------------------------------------------------------------------------------------------


def _version(session: _Session, table: FoundTable) -> Version:
    facts = catalog.describe(session.beside, table.namespace, table.table, mariadb=session.server.mariadb)
    if facts is None:
        raise SourceError(f"table {table.name} was dropped or renamed")
    return catalog.version(facts, session.server.kind)


def _statements(request: ChunkRequest, version: Version) -> list[str] | None:
    """Return the queries that make up the chunk; None when the plan no longer holds."""
    table, key = request.table, plan.key_of(version.columns)
    select = f"SELECT {select_list(version.columns)} FROM {quote(table.namespace, table.table)}"
    if request.keys:
        return list(_by_keys(select, [key_values(key) for key in request.keys], key))
    condition = plan.condition(request.plan, request.index, version.columns)
    if condition is None:
        return None
    return [f"{select} WHERE {condition}" if condition else select]


def _by_keys(select: str, keys: Sequence[plan.Bound], key: Sequence[ColumnMeta]) -> Iterator[str]:
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        chosen = " OR ".join(plan.is_key(key, bound) for bound in keys[at : at + _KEYS_AT_ONCE])
        yield f"{select} WHERE {chosen}"


# --- rows -------------------------------------------------------------------------------------------------------------


@contextmanager
def _spooled(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new file; it stays only if nothing goes wrong."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".rows", buffering=_BUFFER_BYTES, delete=False) as file:
        path = Path(file.name)
        try:
            yield path, file
        except BaseException:
            path.unlink()
            raise


def _copy(conn: Connection[Any], statement: str, file: IO[bytes], change: Callable[[Stretch], Stretch] | None) -> int:
    """Append the rows of a query to a file, as the server sends them or changed; return how many."""
    rows = 0
    for stretch in row_packets.received(conn, statement):
        row_packets.write(file, stretch if change is None else change(stretch))
        rows += len(stretch.starts)
    return rows
