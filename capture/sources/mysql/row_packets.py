"""Rows as the text protocol has them: each value behind its length, NULL as a byte of its own.

The spool file of a chunk has the same form, each row behind its size in four bytes: most rows go from the server into
the file as they are. Source: MySQL source code documentation, "Text Resultset Row".
"""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import IO, TYPE_CHECKING, Any, Final

from pymysql.constants import COMMAND, ER

from schemas.columnar.block import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from schemas.block import Row
    from schemas.columnar.block import Columns

_SIZE: Final = Struct("<I")
_NULL: Final = 0xFB
_EOF: Final = 0xFE
_EOF_BYTES: Final = 9
_FILE_BUFFER_BYTES: Final = 1 << 20
_ROWS_AT_ONCE: Final = 5_000
_LENGTH_BYTES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}


class CutOff(Exception):
    """The server gave NULL for a value that is too large for a function."""


def received(conn: Any, statement: str) -> Iterator[bytes]:
    """Yield the rows of a query as they come in; all must be taken.

    Raises the driver's errors, and behind the rows CutOff.
    """
    conn._execute_command(COMMAND.COM_QUERY, statement)  # noqa: SLF001 - rows are wanted as they are on the wire
    read = conn._read_packet  # noqa: SLF001
    for _ in range(read().read_length_encoded_integer() + 1):  # the columns' descriptions, and the end of them
        read()
    while True:
        data: bytes = read().get_all_data()
        if data[0] == _EOF and len(data) < _EOF_BYTES:
            if any(data[1:3]) and _cut_off(conn):  # the number of warnings
                raise CutOff
            return
        yield data


def _cut_off(conn: Any) -> bool:
    """Whether a warning of the last query says that a function's result did not fit into max_allowed_packet."""
    with conn.cursor() as cursor:
        cursor.execute("SHOW WARNINGS")
        return any(row[1] == ER.WARN_ALLOWED_PACKET_OVERFLOWED for row in cursor.fetchall())


def parse(packet: bytes) -> tuple[bytes | None, ...]:
    """Return the values of a row."""
    values: list[bytes | None] = []
    at, end = 0, len(packet)
    while at < end:
        first = packet[at]
        at += 1
        if first == _NULL:
            values.append(None)
            continue
        if first > _NULL:
            size = _LENGTH_BYTES[first]
            first = int.from_bytes(packet[at : at + size], "little")
            at += size
        values.append(packet[at : at + first])
        at += first
    return tuple(values)


def build(values: Sequence[bytes | None]) -> bytes:
    """Return a row of these values: the inverse of :func:`parse`."""
    return b"".join(b"\xfb" if value is None else _length(len(value)) + value for value in values)


def _length(size: int) -> bytes:
    if size < _NULL:
        return bytes([size])
    for first, width in _LENGTH_BYTES.items():
        if size < 1 << 8 * width:
            return bytes([first]) + size.to_bytes(width, "little")
    raise AssertionError("a value of more than 2^64 bytes")


def formed(forms: Sequence[Callable[[bytes], bytes] | None]) -> Callable[[bytes], bytes] | None:
    """Return what gives each value of a row its source form; None where the server's text is that already."""
    if not any(forms):
        return None

    def change(packet: bytes) -> bytes:
        values = [
            value if form is None or value is None else form(value)
            for value, form in zip(parse(packet), forms, strict=True)
        ]
        return build(values)

    return change


def write(file: IO[bytes], packet: bytes) -> None:
    """Append a row to a spool file."""
    file.write(_SIZE.pack(len(packet)))
    file.write(packet)


def images(path: Path) -> Iterator[Columns]:
    """Yield the rows of a spool file, some thousands at a time."""
    with path.open("rb", buffering=_FILE_BUFFER_BYTES) as file:
        rows = read(file)
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            yield columns(part)


def read(file: IO[bytes]) -> Iterator[Row]:
    """Yield the rows of a spool file."""
    while head := file.read(_SIZE.size):
        yield parse(file.read(_SIZE.unpack(head)[0]))
