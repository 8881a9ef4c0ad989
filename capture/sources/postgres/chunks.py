"""Reading one chunk of a table, in a worker process: rule 1 of the chunk merge, step by step.

Lock, then snapshot, then COPY, then the log position: in this order the rows, the columns and the set of transactions
seen belong together, whatever DDL runs beside. The rows go to a file as the server sent them.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import psycopg
from psycopg import errors, pq

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable
from capture.sources.postgres import catalog, lsn
from capture.sources.postgres.faults import translated
from capture.sources.postgres.plan import Range, range_of
from capture.sources.postgres.visibility import Snapshot
from runtime.errors import Unreachable
from runtime.postgres import connect, duration, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capture.source import FoundTable
    from schemas.table import TableSchema

#: Keys asked for with one statement.
_KEYS_AT_ONCE: Final = 1_000
_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """What a worker needs to connect; pickles. The conninfo holds the password, so it is never shown.

    Writers are not held up by a chunk's lock. Behind an ALTER TABLE it waits for ``lock_timeout_s``, long: giving up
    makes all of capture start anew.
    """

    conninfo: str = field(repr=False)
    application_name: str
    publication: str
    lock_timeout_s: float


#: This process' sessions, kept between chunks.
_sessions: dict[Access, psycopg.Connection[Any]] = {}


def read_chunk(request: ChunkRequest) -> ChunkRead:
    """Read one chunk, or the rows of some keys, into a file of ``request.spool``.

    Raises SourceUnavailable when the server went away or a lock could not be had, SourceError when the table is gone
    or may not be read.
    """
    try:
        with translated(f"table {request.table.name} cannot be read"):
            conn = _session(request.connection)
            with conn.transaction():
                return _read(conn, request)
    except Unreachable as error:
        raise SourceUnavailable(error.what, error.fix) from None


def _session(access: Access) -> psycopg.Connection[Any]:
    conn = _sessions.get(access)
    if conn is None or conn.closed:
        conn = connect(access.conninfo, application_name=access.application_name, autocommit=True)
        conn.execute(f"SET lock_timeout = '{duration(access.lock_timeout_s)}'")
        conn.execute("SET idle_in_transaction_session_timeout = 0")
        conn.execute("SET plan_cache_mode = force_generic_plan")  # of the questions about the catalog
        if conn.info.server_version >= 170_000:
            conn.execute("SET transaction_timeout = 0")
        conn.execute("SET default_transaction_isolation = 'repeatable read'")
        conn.execute("SET default_transaction_read_only = on")
        _sessions[access] = conn
    return conn


def _read(conn: psycopg.Connection[Any], request: ChunkRequest) -> ChunkRead:
    table = request.table
    try:
        conn.execute(f"LOCK TABLE {quote(table.namespace, table.table)} IN ACCESS SHARE MODE")
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise _gone(table) from None
    snapshot = Snapshot.parse(_one(conn, "SELECT pg_current_snapshot()::text"))
    schema = _schema(conn, request)
    statements = _statements(conn, request, schema)
    if statements is None:
        return ChunkRead(schema, snapshot, {"lsn": 0}, 0, None, stale=True)
    with _spooled(request.spool) as (path, file):
        rows = sum(_copy(conn, statement, file) for statement in statements)
    upto = lsn.parse(_one(conn, "SELECT pg_current_wal_insert_lsn()::text"))
    return ChunkRead(schema, snapshot, {"lsn": upto}, rows, path)


def _schema(conn: psycopg.Connection[Any], request: ChunkRequest) -> TableSchema:
    table = request.table
    relation = catalog.relation(conn, table.identity["oid"], request.connection.publication)
    if relation is None or (relation.namespace, relation.name) != (table.namespace, table.table):
        raise _gone(table)
    return catalog.version(conn, relation).schema


def _gone(table: FoundTable) -> SourceError:
    return SourceError(f"table {table.name} was dropped, renamed or created anew")


def _statements(conn: psycopg.Connection[Any], request: ChunkRequest, schema: TableSchema) -> list[str] | None:
    """Return the queries that make up the chunk; None when the plan no longer holds."""
    table, publication = request.table, request.connection.publication
    leaves = catalog.leaves(conn, table.identity["oid"])
    row_filter = catalog.published(conn, publication, table.namespace, table.table)[1]
    # A table that inherits from this one is not part of it, but partitions are.
    plain = [leaf.oid for leaf in leaves] == [table.identity["oid"]]
    whole = ("ONLY " if plain else "") + quote(table.namespace, table.table)
    if request.keys:
        return by_keys(schema, whole, request.keys, row_filter)
    span = range_of(request.plan, request.index, leaves)
    return None if span is None else [by_range(schema, whole, span, row_filter)]


# --- queries ----------------------------------------------------------------------------------------------------------


def by_range(schema: TableSchema, whole: str, span: Range, row_filter: str | None) -> str:
    """Return the query for a range of pages, its values in the order of the table's columns. Pure."""
    conditions = [f"({row_filter})"] if row_filter else []
    source = whole
    if span.leaf is not None:
        source = f"ONLY {quote(span.leaf.namespace, span.leaf.name)}"
        conditions.append(f"ctid >= '({span.first},0)'")
        if span.last is not None:
            conditions.append(f"ctid < '({span.last},0)'")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {_columns(schema)} FROM {source}{where}"


def by_keys(schema: TableSchema, whole: str, keys: Sequence[tuple[str, ...]], row_filter: str | None) -> list[str]:
    """Return the queries for the rows of some keys, given as the source's text by key column. Pure."""
    columns = [schema.columns[i] for i in schema.key]
    types = [column.target_type for column in columns]
    names = ", ".join(quote(column.name) for column in columns)
    condition = f" AND ({row_filter})" if row_filter else ""
    queries = []
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        values = ", ".join(_key(key, types) for key in keys[at : at + _KEYS_AT_ONCE])
        queries.append(f"SELECT {_columns(schema)} FROM {whole} WHERE ({names}) IN (VALUES {values}){condition}")
    return queries


def _key(key: tuple[str, ...], types: Sequence[str]) -> str:
    # A cast to a type with a length would cut the text; a key's own text fits, so this one never does.
    return "(" + ", ".join(f"{_literal(part)}::{kind}" for part, kind in zip(key, types, strict=True)) + ")"


def _literal(text: str) -> str:
    """Return a string literal; E'' because what a backslash means in a plain one depends on a setting."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _columns(schema: TableSchema) -> str:
    return ", ".join(quote(column.name) for column in schema.columns)


# --- rows -------------------------------------------------------------------------------------------------------------


@contextmanager
def _spooled(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new file; it stays only if nothing goes wrong."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".copy", buffering=_BUFFER_BYTES, delete=False) as file:
        path = Path(file.name)
        try:
            yield path, file
        except BaseException:
            path.unlink()
            raise


def _copy(conn: psycopg.Connection[Any], query: str, file: IO[bytes]) -> int:
    """Append the rows of a query to a file as COPY text; return how many. The server sends one message for each."""
    pgconn = conn.pgconn
    _expect(pgconn.exec_(f"COPY ({query}) TO STDOUT".encode()), pq.ExecStatus.COPY_OUT)
    receive, write, rows = pgconn.get_copy_data, file.write, 0
    while True:
        size, data = receive(0)
        if size < 0:
            break
        write(data)
        rows += 1
    while (result := pgconn.get_result()) is not None:
        _expect(result, pq.ExecStatus.COMMAND_OK)
    return rows


def _expect(result: pq.abc.PGresult, status: pq.ExecStatus) -> None:
    if result.status != status:
        raise psycopg.errors.error_from_result(result)


def _one(conn: psycopg.Connection[Any], query: str) -> str:
    row = conn.execute(query).fetchone()
    assert row is not None
    return str(row[0])
