"""What PostgreSQL itself can do with the same rows: the bound of every subject."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import psycopg

from bench.ferryman import Ferryman
from bench.process import Failed
from bench.result import Limit
from operate.local import postgresql_programs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.subject import Subject
    from bench.world import World

#: Bytes of a piece that is written at a time.
_PIECE = 1 << 20


def copy_out(world: World, rows: int) -> Limit:
    """Read the table with COPY and throw it away."""
    started = time.monotonic()
    with psycopg.connect(world.source, autocommit=True) as connection:
        pgconn = connection.pgconn
        pgconn.exec_(f"COPY {world.table.name} TO STDOUT".encode())
        while pgconn.get_copy_data(0)[0] > 0:
            pass
        while pgconn.get_result() is not None:
            pass
    return Limit("COPY TO STDOUT, discarded", rows / (time.monotonic() - started))


def copy_in(world: World, rows: int, target: str) -> list[Limit]:
    """Fill a table like the one in ``target`` with COPY, then again from a staging table with ON CONFLICT."""
    table, data = world.table.name, _text(world)
    with psycopg.connect(target) as connection:
        connection.execute(f"CREATE TABLE limit_copy (LIKE {table} INCLUDING ALL)")
        connection.execute(f"CREATE TABLE limit_upsert (LIKE {table} INCLUDING ALL)")
        connection.commit()
        started = time.monotonic()
        _copy(connection, "limit_copy", data)
        connection.commit()
        copied = time.monotonic()
        connection.execute(f"CREATE TEMP TABLE stage (LIKE {table})")
        _copy(connection, "stage", data)
        connection.execute("INSERT INTO limit_upsert SELECT * FROM stage ON CONFLICT DO NOTHING")
        connection.commit()
        upserted = time.monotonic()
        connection.execute("DROP TABLE limit_copy, limit_upsert")
    return [
        Limit("COPY into the target", rows / (copied - started)),
        Limit("COPY into a staging table, INSERT ON CONFLICT", rows / (upserted - copied)),
    ]


def target_of_ours(subjects: Iterable[Subject]) -> str:
    """Return the target database of ferryman: its table is the one to be filled again."""
    return next(subject.target for subject in subjects if subject.name == Ferryman.name)


def make_slot(world: World) -> str:
    """Make a slot that keeps every later change for :func:`logical`, with its publication; return its name."""
    name = f"{world.name}_limit"
    with psycopg.connect(world.source, autocommit=True) as connection:
        connection.execute(f"CREATE PUBLICATION {name} FOR TABLE {world.table.name}")
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))
    return name


def logical(world: World, slot: str, end: str, rows: int) -> Limit:
    """Read a slot's backlog up to the log position ``end`` with pg_recvlogical and throw it away."""
    program = postgresql_programs.newest() / "bin" / "pg_recvlogical"
    command = [str(program), "--dbname", world.source, "--slot", slot, "--start", "--file", os.devnull]
    command += ["--endpos", end, "--option", "proto_version=1", "--option", f"publication_names={slot}"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"pg_recvlogical: {done.stderr[-500:]}")
    return Limit("pg_recvlogical, pgoutput to /dev/null", rows / (time.monotonic() - started))


def _text(world: World) -> bytes:
    query = f"COPY {world.table.name} TO STDOUT"
    with psycopg.connect(world.source) as connection, connection.cursor().copy(query) as copy:
        return b"".join(bytes(piece) for piece in copy)


def _copy(connection: psycopg.Connection, table: str, data: bytes) -> None:
    with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for at in range(0, len(data), _PIECE):
            copy.write(data[at : at + _PIECE])
