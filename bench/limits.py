"""What PostgreSQL itself can do with the same rows: the bound of every subject."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq

from bench.result import Limit
from bench.standard import TABLE
from runtime.postgres import session_conninfo

if TYPE_CHECKING:
    from bench.rig import Pipeline


def copy_out(pipeline: Pipeline, rows: int) -> Limit:
    """Read the table with COPY and throw it away."""
    started = time.monotonic()
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        pgconn = connection.pgconn
        pgconn.exec_(f"COPY {TABLE} TO STDOUT".encode())
        while pgconn.get_copy_data(0)[0] > 0:
            pass
        while pgconn.get_result() is not None:
            pass
    return Limit("COPY TO STDOUT, discarded", rows / (time.monotonic() - started))


def copy_in(pipeline: Pipeline, rows: int) -> list[Limit]:
    """Fill a table like the target's with COPY, then again from a staging table with ON CONFLICT."""
    data = _text(pipeline)
    with psycopg.connect(pipeline.target) as connection:
        connection.execute(f"CREATE TABLE limit_copy (LIKE {TABLE} INCLUDING ALL)")
        connection.execute(f"CREATE TABLE limit_upsert (LIKE {TABLE} INCLUDING ALL)")
        connection.commit()
        started = time.monotonic()
        _copy(connection, "limit_copy", data)
        connection.commit()
        copied = time.monotonic()
        connection.execute(f"CREATE TEMP TABLE stage (LIKE {TABLE})")
        _copy(connection, "stage", data)
        connection.execute("INSERT INTO limit_upsert SELECT * FROM stage ON CONFLICT (id) DO NOTHING")
        connection.commit()
        upserted = time.monotonic()
        connection.execute("DROP TABLE limit_copy, limit_upsert")
    return [
        Limit("COPY into the target", rows / (copied - started)),
        Limit("COPY into a staging table, INSERT ON CONFLICT", rows / (upserted - copied)),
    ]


def logical(pipeline: Pipeline, slot: str, position: str, rows: int) -> Limit:
    """Read a slot's backlog up to a log position and throw it away, as pg_recvlogical does."""
    conn = pq.PGconn.connect(session_conninfo(pipeline.source, application_name="bench", replication=True).encode())
    options = f"proto_version '1', publication_names '\"ferryman_{pipeline.name}\"'"
    conn.exec_(f'START_REPLICATION SLOT "{slot}" LOGICAL 0/0 ({options})'.encode())
    poll = select.poll()
    poll.register(conn.socket, select.POLLIN)
    end = _lsn(position)
    started, seen = time.monotonic(), 0
    while seen < end:
        size, data = conn.get_copy_data(1)
        if size == 0:
            poll.poll(1_000)
            conn.consume_input()
        elif data[0] in b"wk":  # its first number is the log position, for data and keepalive alike
            seen = max(seen, int.from_bytes(data[1:9], "big"))
    took = time.monotonic() - started
    conn.finish()
    return Limit("pgoutput, discarded", rows / took)


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def _text(pipeline: Pipeline) -> list[bytes]:
    with psycopg.connect(pipeline.source) as connection, connection.cursor().copy(f"COPY {TABLE} TO STDOUT") as copy:
        return [bytes(row) for row in copy]


def _copy(connection: psycopg.Connection, table: str, rows: list[bytes]) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for at in range(0, len(rows), 5_000):
            copy.write(b"".join(rows[at : at + 5_000]))
