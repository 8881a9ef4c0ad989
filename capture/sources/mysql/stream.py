"""The replication connection: what a replica says to a server, and the events that it then sends without end.

Sources: MySQL source code documentation, "COM_BINLOG_DUMP_GTID"; MariaDB Server Documentation, "Replica Protocol".
PyMySQL connects and logs in; from the dump command on the socket is ours, so that waiting has an end and nothing that
arrived is lost by it. (python-mysql-replication's reader waits without end, and connects again by itself in the middle
of a transaction, where rows no longer have their table.)
"""

from __future__ import annotations

import select
import ssl
import time
import zlib
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from capture.source import HistoryLost, SourceError, SourceUnavailable, is_full
from capture.sources.mysql.faults import translated
from capture.sources.mysql.log import binlog
from capture.sources.mysql.log.coordinates import FIRST
from capture.sources.mysql.log.gtid import GtidPosition, GtidSet
from runtime.mysql import connect

if TYPE_CHECKING:
    from capture.sources.mysql.log.binlog import Header
    from capture.sources.mysql.log.coordinates import Place
    from capture.sources.mysql.server import Server

#: An idle server shows a sign of life this often, in seconds: so late is known that there is nothing more to read.
HEARTBEAT_S: Final = 1.0
#: So many of them must fit into the time after which a silent server is given up.
_HEARTBEATS: Final = 4

_COM_BINLOG_DUMP, _COM_BINLOG_DUMP_GTID = 0x12, 0x1E
_DUMP: Final = Struct("<IHI")
_DUMP_GTID: Final = Struct("<HIIQI")
_THROUGH_GTID: Final = 4
#: Places beyond have more bits than COM_BINLOG_DUMP takes.
_OFFSETS: Final = 1 << 32
#: Bytes that are kept of what has arrived; more only for a larger packet. More is asked for while there is this room.
_BUFFER_BYTES: Final = 2 << 20
_ROOM_BYTES: Final = 1 << 18
#: Events taken in by one call at most, so that a flood of transactions of other tables returns to the caller too.
_EVENTS_AT_ONCE: Final = 50_000
_LARGEST_PACKET: Final = 0xFFFFFF
#: An event's body in its packet, behind a byte and the header; and what ends it where there are checksums.
_BODY: Final = 1 + binlog.HEADER_BYTES
_CHECKSUM: Final = binlog.CHECKSUM_BYTES
_OK, _EOF, _ERROR = 0x00, 0xFE, 0xFF

_FATAL_READING: Final = 1236
_SAME_ID: Final = "same server_uuid/server_id"
_TOO_LARGE: Final = "max_allowed_packet"


class Sink(Protocol):
    """What takes the events in."""

    @property
    def rows(self) -> int:
        """Rows gathered so far."""

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""

    def feed(self, head: Header, body: bytes) -> None:
        """Take in one event, without header and checksum."""


class Stream:
    """One replication connection. Not thread-safe; raises SourceUnavailable wherever the connection breaks."""

    def __init__(self, url: str, program_name: str, server: Server, server_id: int, answer_s: float) -> None:
        self._server, self._server_id, self._answer_s = server, server_id, answer_s
        conn: Any = connect(url, program_name=program_name, answer_s=answer_s)
        self._conn, self._sock = conn, conn._sock  # noqa: SLF001 - the protocol is ours from here on
        self._buffer = bytearray(_BUFFER_BYTES)
        self._taken = self._filled = 0  # what arrived and was not handed on lies between
        self._heard_at = time.monotonic()
        self._checksums = False
        self._waiting: list[tuple[Header, bytes]] = []

    def start(self, at: Place | None, after: GtidSet | GtidPosition) -> None:
        """Begin to stream at a place of the server's own log, or after all of these transactions.

        Returns when the server has begun. Raises HistoryLost when it no longer has, or never had, what comes next.
        """
        with translated("the stream cannot be prepared"):
            self._introduce(after)
        command, payload = self._dump(at, after)
        with translated("the stream does not start"):
            self._conn._execute_command(command, payload)  # noqa: SLF001
        deadline = time.monotonic() + self._answer_s  # it may have to search its log
        while not self._waiting or self._waiting[-1][0].kind != binlog.FORMAT:
            event = self._next(starting=True)
            if event is not None:
                self._waiting.append(event)
            elif not self._receive(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                raise SourceUnavailable("the server does not begin to send its log")

    def born(self, file: str) -> int:
        """Return when a file was begun, in seconds, if it is the one with which the stream begins; else 0."""
        names = [binlog.rotate(body)[0] for head, body in self._waiting if head.kind == binlog.ROTATE]
        return self._waiting[-1][0].seconds if names and names[-1] == file else 0

    def _introduce(self, after: GtidSet | GtidPosition) -> None:
        settings = ["@master_binlog_checksum = @@global.binlog_checksum"]
        heartbeat_ns = int(min(HEARTBEAT_S, self._answer_s / _HEARTBEATS) * 1_000_000_000)
        settings += [f"@{role}_heartbeat_period = {heartbeat_ns}" for role in ("master", "source")]
        if self._server.mariadb:
            settings += ["@mariadb_slave_capability = 4", "@slave_gtid_strict_mode = 1"]
            settings += ["@slave_gtid_ignore_duplicates = 0", f"@slave_connect_state = '{after}'"]
        else:
            settings += ["@source_binlog_checksum = @@global.binlog_checksum"]
        with self._conn.cursor() as cursor:
            cursor.execute(f"SET {', '.join(settings)}")
            cursor.execute("SELECT @@global.binlog_checksum")
            self._checksums = str(cursor.fetchall()[0][0]).upper() == "CRC32"

    def _dump(self, at: Place | None, after: GtidSet | GtidPosition) -> tuple[int, bytes]:
        """Return the command; MariaDB was told the place by its transactions, and searches it itself."""
        if isinstance(after, GtidPosition):
            return _COM_BINLOG_DUMP, _DUMP.pack(FIRST, 0, self._server_id)
        if at is not None and (at.offset < _OFFSETS or not self._server.gtids):
            if at.offset >= _OFFSETS:
                raise HistoryLost(f"the protocol has no word for the place {at}, and the server gives no GTIDs")
            return _COM_BINLOG_DUMP, _DUMP.pack(at.offset, 0, self._server_id) + at.file.encode()
        known = after.encoded()
        head = _DUMP_GTID.pack(_THROUGH_GTID, self._server_id, 0, FIRST, len(known))
        return _COM_BINLOG_DUMP_GTID, head + known

    # --- the stream ------------------------------------------------------------------------------------------------

    def drain(self, sink: Sink, max_rows: int) -> None:
        """Hand on what has arrived, until nothing more is there or the sink is full (``is_full``)."""
        while self._waiting:
            sink.feed(*self._waiting.pop(0))
        for _ in range(_EVENTS_AT_ONCE):
            event = self._next(starting=False)
            if event is None:
                if self._receive(0.0):
                    continue
                return
            sink.feed(*event)
            if is_full(sink.rows, max_rows, between=sink.between):
                return

    def wait(self, timeout_s: float) -> None:
        """Wait until something arrives, for at most ``timeout_s``; raises SourceUnavailable after a long silence."""
        self._receive(timeout_s)
        if time.monotonic() - self._heard_at > self._answer_s:
            raise SourceUnavailable(f"the server has sent nothing, not even a heartbeat, for {self._answer_s:g} s")

    def close(self) -> None:
        """Close the connection at once; the server notices. Safe to call twice."""
        self._conn._force_close()  # noqa: SLF001 - a COM_QUIT would not be read

    # --- packets ---------------------------------------------------------------------------------------------------

    def _receive(self, timeout_s: float) -> bool:
        """Take in what has arrived within ``timeout_s``; whether anything has."""
        try:
            size = self._arrived()
            if size is None and timeout_s > 0 and select.select([self._sock], [], [], timeout_s)[0]:
                size = self._arrived()
        except (OSError, ValueError):
            raise SourceUnavailable("the replication connection was lost") from None
        if size is None:
            return False
        if not size:
            raise SourceUnavailable("the server closed the replication connection")
        self._filled += size
        self._heard_at = time.monotonic()
        return True

    def _arrived(self) -> int | None:
        """Put what has arrived behind the rest; return its size, None for nothing, 0 at the end of the connection."""
        self._make_room()
        self._sock.settimeout(0.0)
        try:
            with memoryview(self._buffer) as whole, whole[self._filled :] as room:
                return int(self._sock.recv_into(room))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def _make_room(self) -> None:
        """Move the rest to the front when it is time; let the buffer grow for a large packet, and shrink behind it."""
        buffer, rest = self._buffer, self._filled - self._taken
        too_large = len(buffer) > _BUFFER_BYTES and rest + _ROOM_BYTES <= _BUFFER_BYTES
        if len(buffer) - self._filled >= _ROOM_BYTES and not too_large:
            return
        kept = buffer[self._taken : self._filled]
        self._taken, self._filled = 0, rest
        if too_large or rest + _ROOM_BYTES > len(buffer):
            self._buffer = kept + bytes(max(_BUFFER_BYTES - rest, rest // 4))
        else:
            buffer[:rest] = kept

    def _packet(self) -> memoryview | None:
        """Return the next whole packet, joined where it was too large for one; None while it is not there.

        It is good until more is received.
        """
        buffer, at, filled = self._buffer, self._taken, self._filled
        if filled < at + 4:
            return None
        size = buffer[at] | buffer[at + 1] << 8 | buffer[at + 2] << 16
        if filled < at + 4 + size:
            return None
        if size == _LARGEST_PACKET:
            return self._large_packet()
        self._taken = at + 4 + size
        return memoryview(buffer)[at + 4 : at + 4 + size]

    def _large_packet(self) -> memoryview | None:
        """Return a packet that comes in several, all but the last of the largest size."""
        buffer, at, parts = self._buffer, self._taken, []
        size = _LARGEST_PACKET
        while size == _LARGEST_PACKET:
            size = int.from_bytes(buffer[at : at + 3], "little")
            if self._filled < at + 4 + size:
                return None
            parts.append((at + 4, at + 4 + size))
            at += 4 + size
        self._taken = at
        return memoryview(b"".join([buffer[begin:end] for begin, end in parts]))

    def _next(self, *, starting: bool) -> tuple[Header, bytes] | None:
        packet = self._packet()
        if packet is None:
            return None
        if packet[0] == _OK:
            return self._event(packet)
        if packet[0] == _ERROR:
            self._refused(bytes(packet), starting=starting)
        raise SourceUnavailable("the server ended the stream")

    def _event(self, packet: memoryview) -> tuple[Header, bytes]:
        head = binlog.header(packet, 1)
        if head.kind == binlog.FORMAT:
            self._checksums = binlog.has_checksums(bytes(packet))
        if not self._checksums:
            return head, bytes(packet[_BODY:])
        if zlib.crc32(packet[1:-_CHECKSUM]) != int.from_bytes(packet[-_CHECKSUM:], "little"):
            raise SourceUnavailable("an event of the log has a wrong checksum")
        return head, bytes(packet[_BODY:-_CHECKSUM])

    def _refused(self, packet: bytes, *, starting: bool) -> NoReturn:
        """Raise what the server says; its words name files, transactions and settings of the log, no rows."""
        number = int.from_bytes(packet[1:3], "little")
        text = packet[9 if packet[3:4] == b"#" else 3 :].decode(errors="replace")
        what = f"the server does not send its log: error {number}: {text}"
        if _SAME_ID in text:
            fix = f"give each its own: source.server_id (now {self._server_id})"
            raise SourceUnavailable("another replica, or another capture, has our server_id", fix)
        if number != _FATAL_READING:
            raise SourceUnavailable(what, "the user needs REPLICATION SLAVE; see `ferryman check`")
        if _TOO_LARGE in text:
            raise SourceError(what, "SET GLOBAL max_allowed_packet = 1073741824;")
        raise HistoryLost(what) if starting else SourceUnavailable(what)
