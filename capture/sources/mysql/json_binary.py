"""MySQL's binary JSON -> the text that a SELECT of it gives, byte for byte. Pure.

Source: MySQL, ``sql/json_binary.h`` (the format), ``sql-common/json_dom.cc`` (``wrapper_to_string``, the text).
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Final

from capture.sources.mysql.numerals import decimal_reader, double_text

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING = range(5, 13)
_OPAQUE: Final = 15

_LITERALS: Final = (b"null", b"true", b"false")
#: Bytes and sign of integers by type.
_INTEGERS: Final = {
    _INT16: (2, True), _UINT16: (2, False), _INT32: (4, True), _UINT32: (4, False), _INT64: (8, True),
    _UINT64: (8, False),
}  # fmt: skip
#: Values that stand in their entry itself, where an entry has so many bytes for them.
_INLINE: Final = {2: {_LITERAL, _INT16, _UINT16}, 4: {_LITERAL, _INT16, _UINT16, _INT32, _UINT32}}
#: The server nests no deeper.
_DEEPEST: Final = 100

_DECIMAL, _DATE, _TIME, _DATETIME, _TIMESTAMP = 246, 10, 11, 12, 7


class JsonError(ValueError):
    """Bytes that are no binary JSON."""


def text(data: bytes) -> bytes:
    """Return the text of a JSON value; raises JsonError. No bytes at all are null, as the server reads them."""
    if not data:
        return b"null"
    out: list[bytes] = []
    try:
        _Value(data[1:], out).write(data[0], 0, 0)
    except (IndexError, struct.error):
        raise JsonError("ends too soon") from None
    return b"".join(out)


class _Value:
    """Writes values out of a document; offsets count from the first byte behind the type of what holds them."""

    def __init__(self, data: bytes, out: list[bytes]) -> None:
        self._data, self._out = data, out

    def write(self, kind: int, at: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise JsonError("nested too deeply")
        if kind in (_SMALL_OBJECT, _LARGE_OBJECT):
            self._object(at, 2 if kind == _SMALL_OBJECT else 4, depth)
        elif kind in (_SMALL_ARRAY, _LARGE_ARRAY):
            self._array(at, 2 if kind == _SMALL_ARRAY else 4, depth)
        else:
            self._out.append(self._scalar(kind, at))

    def _object(self, at: int, width: int, depth: int) -> None:
        count = self._number(at, width)
        keys = at + 2 * width
        values = keys + count * (width + 2)
        for i in range(count):
            self._out.append(b", " if i else b"{")
            entry = keys + i * (width + 2)
            start = at + self._number(entry, width)
            self._out += (_quoted(self._bytes(start, self._number(entry + width, 2))), b": ")
            self._entry(at, values + i * (width + 1), width, depth)
        self._out.append(b"}" if count else b"{}")

    def _array(self, at: int, width: int, depth: int) -> None:
        count = self._number(at, width)
        values = at + 2 * width
        for i in range(count):
            self._out.append(b", " if i else b"[")
            self._entry(at, values + i * (width + 1), width, depth)
        self._out.append(b"]" if count else b"[]")

    def _entry(self, start: int, at: int, width: int, depth: int) -> None:
        """Write the value of an entry: its type, and the value itself or where it lies."""
        kind = self._data[at]
        if kind in _INLINE[width]:
            self._out.append(self._scalar(kind, at + 1))
        else:
            self.write(kind, start + self._number(at + 1, width), depth + 1)

    def _scalar(self, kind: int, at: int) -> bytes:
        if kind == _LITERAL:
            return _LITERALS[self._data[at]]
        if kind in _INTEGERS:
            size, signed = _INTEGERS[kind]
            return b"%d" % int.from_bytes(self._bytes(at, size), "little", signed=signed)
        if kind == _DOUBLE:
            return _double(struct.unpack_from("<d", self._data, at)[0])
        if kind == _STRING:
            return _quoted(self._counted(at))
        if kind == _OPAQUE:
            return _opaque(self._data[at], self._counted(at + 1))
        raise JsonError("an unknown type")

    def _counted(self, at: int) -> bytes:
        """Return bytes behind their length: seven bits a byte, the lowest first; the highest bit: more come."""
        length = shift = 0
        while True:
            byte = self._data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return self._bytes(at, length)
            shift += 7

    def _number(self, at: int, width: int) -> int:
        return int.from_bytes(self._bytes(at, width), "little")

    def _bytes(self, at: int, size: int) -> bytes:
        found = self._data[at : at + size]
        if len(found) != size:
            raise JsonError("ends too soon")
        return found


def _double(value: float) -> bytes:
    """Return a double; one without a fraction is told from an integer by ``.0``."""
    written = double_text(value)
    return written if b"." in written or b"e" in written else written + b".0"


_ESCAPES: Final = {
    ord('"'): '\\"', ord("\\"): "\\\\", ord("\b"): "\\b", ord("\f"): "\\f", ord("\n"): "\\n", ord("\r"): "\\r",
    ord("\t"): "\\t",
}  # fmt: skip
_ESCAPED: Final = [
    _ESCAPES.get(byte, f"\\u{byte:04x}").encode() if byte < 0x20 or byte in _ESCAPES else None for byte in range(256)
]


def _quoted(content: bytes) -> bytes:
    if any(_ESCAPED[byte] for byte in content):
        content = b"".join([_ESCAPED[byte] or bytes([byte]) for byte in content])
    return b'"' + content + b'"'


def _opaque(kind: int, content: bytes) -> bytes:
    """Return a value of an SQL type that JSON has none for."""
    known = _OPAQUES.get(kind)
    if known is not None:
        return known(content)
    lines = base64.encodebytes(content)[:-1]  # the server breaks lines too, but ends with none
    return _quoted(b"base64:type%d:%b" % (kind, lines))


def _decimal(content: bytes) -> bytes:
    return decimal_reader(content[0], content[1])(content[2:])


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
