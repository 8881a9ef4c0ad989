"""What MySQL or MariaDB itself, and a bare reader, can do with the same rows."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from bench.result import Limit
from runtime import mysql

if TYPE_CHECKING:
    from bench.world import World

_COM_QUIT, _COM_QUERY = 1, 3
_PIECE = 1 << 20
#: A server id that no other reader of the same server has.
_SERVER_ID = 4_000_001


def read_table(world: World, rows: int) -> Limit:
    """Let the server send the whole table, and throw the bytes away."""
    connection: Any = mysql.connect(world.source, program_name="bench")
    query = f"SELECT * FROM {world.namespace}.{world.table.name}".encode()
    started = time.monotonic()
    sock = connection._sock  # noqa: SLF001 - the driver would make Python values of them
    sock.sendall(
        _packet(bytes([_COM_QUERY]) + query) + _packet(bytes([_COM_QUIT]))
    )  # it ends the session after the rows
    while sock.recv(_PIECE):
        pass
    return Limit("SELECT *, discarded", rows / (time.monotonic() - started))


def place(world: World) -> tuple[str, int]:
    """Return where the log ends now: file and position."""
    with mysql.connect(world.source, program_name="bench") as connection, connection.cursor() as cursor:
        for statement in ("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS", "SHOW BINLOG STATUS"):
            try:
                cursor.execute(statement)
            except pymysql.MySQLError:  # the next kind of server has another name for it
                continue
            row = cursor.fetchone()
            return str(row[0]), int(row[1])
    raise AssertionError("the server has no binary log")


def read_log(world: World, begin: tuple[str, int], rows: int) -> Limit:
    """Read all changes since ``begin`` with python-mysql-replication, row by row, and throw them away."""
    reader = BinLogStreamReader(
        connection_settings=mysql.connection_settings(world.source, program_name="bench"),
        server_id=_SERVER_ID,
        log_file=begin[0],
        log_pos=begin[1],
        resume_stream=True,
        only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
        only_schemas=[world.namespace],
    )
    started, seen = time.monotonic(), 0
    for event in reader:
        seen += len(event.rows)
    took = time.monotonic() - started
    reader.close()
    assert seen >= rows, f"the log has {seen} changes, not {rows}"
    return Limit("python-mysql-replication, discarded", seen / took)


def _packet(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + b"\0" + payload
