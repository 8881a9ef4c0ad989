"""What a MySQL or MariaDB logged since some place, event by event, for tests of how events are read."""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from capture.sources.mysql.row_images import rows, table_map
from capture.sources.mysql.row_images.table_map import TableMap
from capture.sources.mysql.server import inspect
from runtime import mysql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capture.sources.mysql.row_images.rows import RowEvent

_COM_BINLOG_DUMP = 0x12
#: The dump ends at the end of the log instead of waiting there.
_NON_BLOCKING = 1
_HEADER, _TABLE_MAP, _FORMAT = 19, 19, 15
_CHECKSUM = 4
_EOF = 0xFE


class Place(NamedTuple):
    """A log file and a position in it."""

    file: str
    position: int


class Log:
    """The log of one server (a superuser's URL)."""

    def __init__(self, url: str) -> None:
        self._url = url
        with closing(mysql.connect(url, program_name="test")) as connection, connection.cursor() as cursor:
            server = inspect(connection)
            self.mariadb, self.version = server.mariadb, server.version
            cursor.execute(table_map.collations_query(self.version, mariadb=self.mariadb))
            self.collations: dict[int, str] = {number: name for number, name in cursor.fetchall() if name}

    def end(self) -> Place:
        """Return the end of the log."""
        statement = "SHOW MASTER STATUS" if self.mariadb else "SHOW BINARY LOG STATUS"
        with closing(mysql.connect(self._url, program_name="test")) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return Place(*cursor.fetchone()[:2])

    def events(self, since: Place) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of each event from a place on to the end of the log."""
        with closing(mysql.connect(self._url, program_name="test")) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET @master_binlog_checksum = @@GLOBAL.binlog_checksum")
                cursor.execute("SELECT @@GLOBAL.binlog_checksum")
                checksum = 0 if cursor.fetchone()[0] == "NONE" else _CHECKSUM
                cursor.execute("SET @mariadb_slave_capability = 4")
            request = struct.pack("<IHI", since.position, _NON_BLOCKING, 4_000_000_000) + since.file.encode()
            connection._execute_command(_COM_BINLOG_DUMP, request)
            while True:
                packet = connection._read_packet().get_all_data()
                if packet[0] == _EOF:
                    return
                yield packet[5], packet[1 + _HEADER : len(packet) - checksum]

    def row_events(self, since: Place) -> Iterator[tuple[TableMap, RowEvent]]:
        """Yield each row event with its table map."""
        tables: dict[int, TableMap] = {}
        for kind, body in self.events(since):
            if kind == _TABLE_MAP:
                table = table_map.read(body, self.collations, mariadb=self.mariadb)
                tables[table.table_id] = table
            elif kind in rows.ROW_EVENTS:
                found = rows.event(kind, body)
                yield tables[found.table_id], found
