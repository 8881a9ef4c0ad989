"""Reading one chunk of a table, in a worker process: rule 1 of the chunk merge, step by step.

Lock, then snapshot, then COPY, then the log position: in this order the rows, the columns and the set of transactions
seen belong together, whatever DDL runs beside. The rows go to a file as the server sent them.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq, sql

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable
from capture.sources.postgres import catalog, lsn
from capture.sources.postgres.faults import translated
from capture.sources.postgres.plan import Leaf, chunk_of
from capture.sources.postgres.visibility import Snapshot
from runtime.postgres import connect, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capture.sources.postgres.catalog import Version

#: Writers are not held up by our lock, but an ALTER TABLE that waits before us is worth another try later.
_LOCK_TIMEOUT: Final = "30s"
#: Keys asked for with one statement.
_KEYS_AT_ONCE: Final = 1_000
#: Bytes gathered before they go to the file.
_BUFFER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """What a worker needs to connect; pickles. The conninfo holds the password, so it is not shown."""

    conninfo: str = field(repr=False)
    application_name: str
    publication: str


#: This process' sessions, kept between chunks.
_sessions: dict[Access, psycopg.Connection[Any]] = {}


def read_chunk(request: ChunkRequest) -> ChunkRead:
    """Read one chunk, or the rows of some keys, into a file of ``request.spool``.

    Raises SourceUnavailable when the server went away or a lock could not be had, SourceError when the table is gone or
    may not be read.
    """
    with translated(f"table {request.table.name} cannot be read"):
        conn = _session(request.connection)
        try:
            with conn.transaction():
                return _read(conn, request)
        except psycopg.Error:
            if conn.broken:
                _sessions.pop(request.connection, None)
            raise


def _session(access: Access) -> psycopg.Connection[Any]:
    conn = _sessions.get(access)
    if conn is None or conn.closed:
        conn = connect(access.conninfo, application_name=access.application_name, autocommit=True)
        conn.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        conn.execute("SET idle_in_transaction_session_timeout = 0")
        conn.execute("SET default_transaction_isolation = 'repeatable read'")
        conn.execute("SET default_transaction_read_only = on")
        _sessions[access] = conn
    return conn


def _read(conn: psycopg.Connection[Any], request: ChunkRequest) -> ChunkRead:
    table, access = request.table, request.connection
    conn.execute(f"LOCK TABLE {quote(table.namespace, table.table)} IN ACCESS SHARE MODE")
    snapshot = Snapshot.parse(_one(conn, "SELECT pg_current_snapshot()::text"))
    version = _version(conn, request)
    leaves = catalog.leaves(conn, version.relation.oid)
    row_filter = catalog.published(conn, access.publication, table.namespace, table.table)[1]
    if request.keys:
        statements = by_key(version, request.keys, row_filter)
    else:
        span = range_of(request.plan, request.index, leaves)
        if span is None:
            return ChunkRead(version.schema, snapshot, {"lsn": 0}, 0, None, stale=True)
        statements = [by_range(version.schema, span, row_filter)]
    with _spooled(request.spool) as (path, file):
        rows = sum(_copy(conn, statement, file) for statement in statements)
    upto = lsn.parse(_one(conn, "SELECT pg_current_wal_insert_lsn()::text"))
    return ChunkRead(version.schema, snapshot, {"lsn": upto}, rows, path)


def _version(conn: psycopg.Connection[Any], request: ChunkRequest) -> Version:
    oid = request.table.identity["oid"]
    relation = catalog.relation(conn, oid, request.connection.publication)
    if relation is None or (relation.namespace, relation.name) != (request.table.namespace, request.table.table):
        raise SourceError(f"table {request.table.name} was dropped, renamed or created anew")
    return catalog.version(conn, relation)


def by_range(schema: TableSchema, span: Range, row_filter: str | None) -> str:
    """Return the query for a range of pages, in the order of the table's columns. Pure."""
    if span.leaf is None:  # a plain table has no partitions, and a table that inherits from it is not part of it
        where = f" WHERE {row_filter}" if row_filter else ""
        return f"SELECT {_columns(schema)} FROM {{whole}}{where}"
    conditions = [f"ctid >= '({span.first},0)'"]
    if span.last is not None:
        conditions.append(f"ctid < '({span.last},0)'")
    if row_filter:
        conditions.append(f"({row_filter})")
    source = quote(span.leaf.namespace, span.leaf.name)
    return f"SELECT {_columns(schema)} FROM ONLY {source} WHERE {' AND '.join(conditions)}"
