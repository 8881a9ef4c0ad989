"""Rows as the text protocol has them: each value behind its length, NULL as a byte of its own.

A worker takes them off the wire in stretches of many rows and writes those to the chunk's file as they are; nothing is
done here for a value, and little for a row. Reading the file is :mod:`capture.sources.mysql.chunk_file`'s business.
Source: MySQL source code documentation, "Text Resultset Row", "MySQL Packets", "EOF_Packet".
"""

from __future__ import annotations

from array import array
from operator import is_
from struct import Struct
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from pymysql.constants import COMMAND, CR, ER
from pymysql.err import OperationalError, raise_mysql_exception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: In a spool file, before each stretch: the number of its rows, and of its bytes without their starts.
STRETCH_HEAD: Final = Struct("<II")
#: Bytes before each row of a stretch: its packet's head, size in three bytes and number in one.
HEAD_BYTES: Final = 4
NULL: Final = 0xFB
#: By the first byte of a length: in how many bytes behind it the length is.
LENGTH_BYTES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}

_HEAD: Final = Struct("<I")
_SIZE_BITS: Final = 0xFF_FFFF
#: What is longer goes on in the next packet; so does what is exactly as long.
_LARGEST_PACKET: Final = 0xFF_FFFF
_EOF, _ERROR = 0xFE, 0xFF
#: Some thousands of ordinary rows; less than a packet may hold, so that a row in pieces is always a large one.
_STRETCH_BYTES: Final = 1 << 20
#: A stretch is full when less than this is left: what the server sends at a time should fit.
_ROOM_BYTES: Final = 1 << 16
#: Most that is asked of the system at a time.
_RECEIVED_BYTES: Final = 1 << 18


class CutOff(Exception):
    """The server gave NULL for a value that is too large for a function."""


class Stretch(NamedTuple):
    """Whole rows. ``starts`` tells where each begins in ``data``; it ends :data:`HEAD_BYTES` before the next."""

    starts: array[int]
    data: memoryview

    def rows(self) -> Iterator[bytes]:
        """Yield the rows."""
        ends = [start - HEAD_BYTES for start in self.starts[1:]]
        for start, end in zip(self.starts, [*ends, len(self.data)], strict=True):
            yield bytes(self.data[start:end])


# --- off the wire -----------------------------------------------------------------------------------------------------


def received(conn: Any, statement: str) -> Iterator[Stretch]:
    """Yield the rows of a query as they come in; all must be taken. A stretch is overwritten by the next one.

    Raises the driver's errors, and behind the rows CutOff.
    """
    conn._execute_command(COMMAND.COM_QUERY, statement)  # noqa: SLF001 - rows are wanted as they are on the wire
    read = conn._read_packet  # noqa: SLF001
    for _ in range(read().read_length_encoded_integer() + 1):  # the columns' descriptions, and the end of them
        read()
    data = memoryview(bytearray(_STRETCH_BYTES))
    starts, begin, filled = array("I"), 0, 0  # before `begin` are whole rows
    while True:
        filled += _receive(conn, data[filled:])
        begin = _walk(data, begin, filled, starts)
        if begin == filled and _is_last(data[starts[-1] : filled]):  # the server is silent behind it
            last = data[starts.pop() : filled]
            if starts:
                yield Stretch(starts, data[: filled - len(last) - HEAD_BYTES])
            _end(conn, bytes(last))
            return
        if filled + _ROOM_BYTES <= _STRETCH_BYTES:
            continue
        if starts:
            yield Stretch(starts, data[:begin])
            rest = bytes(data[begin:filled])
            data[: len(rest)] = rest
            starts, begin, filled = array("I"), 0, len(rest)
        if filled >= HEAD_BYTES and HEAD_BYTES + _size(data, 0) > _STRETCH_BYTES:
            yield _large(conn, bytes(data[:filled]))
            filled = 0


def _receive(conn: Any, room: memoryview) -> int:
    """Take what has arrived, at least a byte; waits only while there is nothing."""
    try:
        came: bytes = conn._rfile.read1(min(len(room), _RECEIVED_BYTES))  # noqa: SLF001
    except OSError:
        came = b""
    if not came:
        conn._force_close()  # noqa: SLF001
        raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
    room[: len(came)] = came
    return len(came)


def _walk(data: memoryview, at: int, filled: int, starts: array[int]) -> int:
    """Note where the packets from ``at`` on begin; return where the whole ones end."""
    head, note = _HEAD.unpack_from, starts.append
    while at + HEAD_BYTES <= filled:
        start = at + HEAD_BYTES
        end = start + (head(data, at)[0] & _SIZE_BITS)
        if end > filled:
            break
        note(start)
        at = end
    return at


def _size(data: memoryview | bytes, at: int) -> int:
    return int(_HEAD.unpack_from(data, at)[0]) & _SIZE_BITS


def _is_last(packet: memoryview) -> bool:
    return packet[0] in (_EOF, _ERROR)  # a row that begins with such a byte has a value that no stretch holds


def _end(conn: Any, packet: bytes) -> None:
    if packet[0] == _ERROR:
        raise_mysql_exception(packet)
    if any(packet[1:3]) and _cut_off(conn):  # the number of warnings
        raise CutOff


def _large(conn: Any, begun: bytes) -> Stretch:
    """Return a row that no stretch holds, of which the beginning has arrived: it may come in several packets."""
    read, size = conn._read_bytes, _size(begun, 0)  # noqa: SLF001
    parts = [begun, read(HEAD_BYTES + size - len(begun))]
    while size == _LARGEST_PACKET:
        size = _size(read(HEAD_BYTES), 0)
        parts.append(read(size))
    return Stretch(array("I", [HEAD_BYTES]), memoryview(b"".join(parts)))


def _cut_off(conn: Any) -> bool:
    """Whether a warning of the last query says that a function's result did not fit into max_allowed_packet."""
    with conn.cursor() as cursor:
        cursor.execute("SHOW WARNINGS")
        return any(row[1] == ER.WARN_ALLOWED_PACKET_OVERFLOWED for row in cursor.fetchall())


def write(file: IO[bytes], stretch: Stretch) -> None:
    """Append a stretch to a spool file: how many rows and bytes, where the rows begin, and the bytes."""
    file.write(STRETCH_HEAD.pack(len(stretch.starts), len(stretch.data)))
    file.write(stretch.starts)
    file.write(stretch.data)


# --- row by row -------------------------------------------------------------------------------------------------------


def parse(packet: bytes) -> tuple[bytes | None, ...]:
    """Return the values of a row."""
    values: list[bytes | None] = []
    at, end = 0, len(packet)
    while at < end:
        first = packet[at]
        at += 1
        if first == NULL:
            values.append(None)
            continue
        if first > NULL:
            size = LENGTH_BYTES[first]
            first = int.from_bytes(packet[at : at + size], "little")
            at += size
        values.append(packet[at : at + first])
        at += first
    return tuple(values)


def build(values: Sequence[bytes | None]) -> bytes:
    """Return a row of these values: the inverse of :func:`parse`."""
    return b"".join(b"\xfb" if value is None else _length(len(value)) + value for value in values)


def _length(size: int) -> bytes:
    if size < NULL:
        return bytes([size])
    for first, width in LENGTH_BYTES.items():
        if size < 1 << 8 * width:
            return bytes([first]) + size.to_bytes(width, "little")
    raise AssertionError("a value of more than 2^64 bytes")


def stretch(rows: Sequence[bytes]) -> Stretch:
    """Return rows as a stretch."""
    starts, at = array("I"), 0
    for row in rows:
        starts.append(at + HEAD_BYTES)
        at += HEAD_BYTES + len(row)
    return Stretch(starts, memoryview(b"".join([part for row in rows for part in (bytes(HEAD_BYTES), row)])))


def formed(
    forms: Sequence[Callable[[bytes], bytes] | None], *, ascii_is_itself: bool
) -> Callable[[Stretch], Stretch] | None:
    """Return what gives each value of some rows its source form; None where the server's text is that already.

    ``ascii_is_itself``: every form leaves values of ASCII characters as they are.
    """
    if not any(forms):
        return None

    def change(packet: bytes) -> bytes:
        if ascii_is_itself and packet.isascii():  # lengths included: no value is long, and none NULL
            return packet
        values = parse(packet)
        changed = [
            value if form is None or value is None else form(value) for value, form in zip(values, forms, strict=True)
        ]
        return packet if all(map(is_, values, changed)) else build(changed)

    return lambda whole: stretch([change(row) for row in whole.rows()])
