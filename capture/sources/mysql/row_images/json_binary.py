"""MySQL's binary JSON -> the text that a SELECT of it gives, byte for byte. Pure.

Source: MySQL, ``sql/json_binary.h`` (the format), ``sql-common/json_dom.cc`` (``wrapper_to_string``, the text).
"""

from __future__ import annotations

import base64
import re
import struct
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from capture.sources.mysql.row_images.numerals import decimal_reader, double_text
from capture.sources.mysql.row_images.wire import decimal_size

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_OBJECT, LARGE_OBJECT, SMALL_ARRAY, LARGE_ARRAY, LITERAL = range(5)
INT16, UINT16, INT32, UINT32, INT64, UINT64, DOUBLE, STRING = range(5, 13)
OPAQUE: Final = 15

LITERALS: Final = (b"null", b"true", b"false")
#: Integers that are no wider than an entry's place for values, by type.
_INTEGERS: Final = {
    INT16: Struct("<h"), UINT16: Struct("<H"), INT32: Struct("<i"), UINT32: Struct("<I"), INT64: Struct("<q"),
    UINT64: Struct("<Q"),
}  # fmt: skip
_FLOAT: Final = Struct("<d")


class Layout(NamedTuple):
    """How a container is laid out: its count and size, an entry of a key, an entry of a value; what entries hold.

    ``inline`` are the types of values that stand in their entry itself.
    """

    head: Struct
    key: Struct
    value: Struct
    place: int
    inline: frozenset[int]


SMALL: Final = Layout(Struct("<HH"), Struct("<HH"), Struct("<BH"), 2, frozenset({LITERAL, INT16, UINT16}))
LARGE: Final = Layout(
    Struct("<II"), Struct("<IH"), Struct("<BI"), 4, frozenset({LITERAL, INT16, UINT16, INT32, UINT32})
)
_SIGN_16: Final = 1 << 15
#: The server nests no deeper.
DEEPEST: Final = 100

_DECIMAL, _DATE, _TIME, _DATETIME, _TIMESTAMP = 246, 10, 11, 12, 7


class JsonError(ValueError):
    """Bytes that are no binary JSON."""


def text(data: bytes) -> bytes:
    """Return the text of a JSON value; raises JsonError. No bytes at all are null, as the server reads them."""
    if not data:
        return b"null"
    out: list[bytes] = []
    try:
        # Offsets count from the byte behind the type.
        _write(data[1:], data[0], 0, 0, out)
    except (IndexError, struct.error):
        raise JsonError("ends too soon") from None
    return b"".join(out)


def _write(data: bytes, kind: int, at: int, depth: int, out: list[bytes]) -> None:
    if depth > DEEPEST:
        raise JsonError("nested too deeply")
    if kind in (SMALL_OBJECT, LARGE_OBJECT):
        _object(data, at, SMALL if kind == SMALL_OBJECT else LARGE, depth, out)
    elif kind in (SMALL_ARRAY, LARGE_ARRAY):
        _array(data, at, SMALL if kind == SMALL_ARRAY else LARGE, depth, out)
    else:
        out.append(_scalar(data, kind, at))


def _object(data: bytes, at: int, layout: Layout, depth: int, out: list[bytes]) -> None:
    count, _ = layout.head.unpack_from(data, at)
    keys = at + layout.head.size
    values = keys + count * layout.key.size
    before = b"{"
    for (start, length), value in zip(
        layout.key.iter_unpack(cut(data, keys, count * layout.key.size)),
        layout.value.iter_unpack(cut(data, values, count * layout.value.size)),
        strict=True,
    ):
        out += (before, key(cut(data, at + start, length)))
        _entry(data, at, value, layout, depth, out)
        before = b", "
    out.append(b"}" if count else b"{}")


def _array(data: bytes, at: int, layout: Layout, depth: int, out: list[bytes]) -> None:
    count, _ = layout.head.unpack_from(data, at)
    values = at + layout.head.size
    before = b"["
    for value in layout.value.iter_unpack(cut(data, values, count * layout.value.size)):
        out.append(before)
        _entry(data, at, value, layout, depth, out)
        before = b", "
    out.append(b"]" if count else b"[]")


def _entry(data: bytes, start: int, entry: tuple[int, int], layout: Layout, depth: int, out: list[bytes]) -> None:
    """Write the value of an entry: its type, and the value itself or where it lies."""
    kind, value = entry
    if kind == INT16:
        out.append(b"%d" % ((value & 0xFFFF ^ _SIGN_16) - _SIGN_16))
    elif kind in layout.inline:
        out.append(_scalar(value.to_bytes(layout.place, "little"), kind, 0))
    else:
        _write(data, kind, start + value, depth + 1, out)


def _scalar(data: bytes, kind: int, at: int) -> bytes:
    if kind == STRING:
        return _quoted(_counted(data, at))
    if kind == LITERAL:
        return LITERALS[data[at]]
    if kind in _INTEGERS:
        return b"%d" % _INTEGERS[kind].unpack_from(data, at)[0]
    if kind == DOUBLE:
        return double(_FLOAT.unpack_from(data, at)[0])
    if kind == OPAQUE:
        return opaque(data[at], _counted(data, at + 1))
    raise JsonError("an unknown type")


def _counted(data: bytes, at: int) -> bytes:
    start, end = counted(data, at)
    return cut(data, start, end - start)


def counted(data: bytes, at: int) -> tuple[int, int]:
    """Return where bytes begin and end behind their length: seven bits a byte, lowest first; the highest: more come."""
    length = shift = 0
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return at, at + length
        shift += 7


def cut(data: bytes, at: int, size: int) -> bytes:
    """Return so many bytes; raises JsonError where they are not all there."""
    found = data[at : at + size]
    if len(found) != size:
        raise JsonError("ends too soon")
    return found


def double(value: float) -> bytes:
    """Return a double; one without a fraction is told from an integer by ``.0``."""
    written = double_text(value)
    return written if b"." in written or b"e" in written else written + b".0"


_ESCAPES: Final = {
    ord('"'): '\\"', ord("\\"): "\\\\", ord("\b"): "\\b", ord("\f"): "\\f", ord("\n"): "\\n", ord("\r"): "\\r",
    ord("\t"): "\\t",
}  # fmt: skip
ESCAPED: Final = [
    _ESCAPES.get(byte, f"\\u{byte:04x}").encode() if byte < 0x20 or byte in _ESCAPES else None for byte in range(256)
]


_TO_ESCAPE: Final = re.compile(rb'[\x00-\x1f"\\]')


def _quoted(content: bytes) -> bytes:
    if _TO_ESCAPE.search(content):
        content = b"".join([ESCAPED[byte] or bytes([byte]) for byte in content])
    return b'"' + content + b'"'


@lru_cache(1024)
def key(name: bytes) -> bytes:
    """Return a key as it stands before its value; documents of one table have the same keys."""
    return _quoted(name) + b": "


def opaque(kind: int, content: bytes) -> bytes:
    """Return a value of an SQL type that JSON has none for."""
    known = _OPAQUES.get(kind)
    if known is not None:
        return known(content)
    lines = base64.encodebytes(content)[:-1]  # the server breaks lines too, but ends with none
    return _quoted(b"base64:type%d:%b" % (kind, lines))


def _decimal(content: bytes) -> bytes:
    precision, scale, packed = content[0], content[1], content[2:]
    if scale > precision or len(packed) != decimal_size(precision, scale):
        raise JsonError("a decimal of another size")
    return decimal_reader(precision, scale)(packed)


def _date(content: bytes) -> bytes:
    return b'"%b"' % _moment(content)[:10]


def _datetime(content: bytes) -> bytes:
    return b'"%b"' % _moment(content)


def _moment(content: bytes) -> bytes:
    packed = _packed(content)
    day, time = packed >> 41, packed >> 24 & 0x1FFFF
    months = day >> 5
    return b"%04d-%02d-%02d %b" % (months // 13, months % 13, day & 31, _clock(time, packed))


def _time(content: bytes) -> bytes:
    packed = _packed(content)
    sign, packed = (b"-", -packed) if packed < 0 else (b"", packed)
    return b'"%b%b"' % (sign, _clock(packed >> 24, packed))


def _clock(time: int, packed: int) -> bytes:
    return b"%02d:%02d:%02d.%06d" % (time >> 12 & 0x3FF, time >> 6 & 63, time & 63, packed & 0xFFFFFF)


def _packed(content: bytes) -> int:
    if len(content) != 8:
        raise JsonError("a time of another size")
    return int.from_bytes(content, "little", signed=True)


_OPAQUES: Final[dict[int, Callable[[bytes], bytes]]] = {
    _DECIMAL: _decimal, _DATE: _date, _TIME: _time, _DATETIME: _datetime, _TIMESTAMP: _datetime,
}  # fmt: skip
