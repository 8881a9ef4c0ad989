"""PostgreSQL's text of a value, as an Avro value: one converter for each kind. Pure, and run once for every value.

The text forms are those of a session with the settings of ``runtime.postgres`` (DateStyle ISO, IntervalStyle
iso_8601, TimeZone UTC, bytea_output hex, extra_float_digits 1). What they become is written in ``schemas.values``.
"""

from __future__ import annotations

import re
from binascii import Error as HexError
from binascii import unhexlify
from datetime import date
from typing import TYPE_CHECKING, Final

from schemas.table import Column, Kind
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_US: Final = 86_400_000_000

#: Longer numerals go verbatim: Python converts no more than 4,300 digits, in quadratic time.
_MAX_DIGITS: Final = 1_000
_NUMERAL: Final = re.compile(rb"-?\d+(?:\.\d+)?\Z")
_ZONED_TIME: Final = re.compile(rb"(\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-]\d\d)(:\d\d)?\Z")


def converter(column: Column) -> Callable[[bytes], object]:
    """Return the function from this column's text to its Avro value, or Verbatim for what the type cannot hold."""
    kind = column.type.kind
    if kind is Kind.DECIMAL:
        return decimal(column.type.scale or 0)
    if kind is Kind.BITS:
        return bits(column.type.length or 1)
    return _CONVERTERS[kind]


def _boolean(text: bytes) -> object:
    return text == b"t"


def _bytes(text: bytes) -> object:
    try:
        return unhexlify(text[2:])  # \x...
    except HexError:
        return Verbatim(text.decode())


def decimal(scale: int) -> Callable[[bytes], object]:
    """Return the converter of numeric(p, scale): the unscaled value, big-endian, in the fewest bytes."""

    def convert(text: bytes) -> object:
        whole, _point, fraction = text.partition(b".")
        if len(fraction) != scale or len(text) > _MAX_DIGITS:
            return Verbatim(text.decode())
        try:
            return _unscaled(whole + fraction)
        except ValueError:  # NaN, Infinity, -Infinity
            return Verbatim(text.decode())

    return convert


def _variable_decimal(text: bytes) -> object:
    if len(text) > _MAX_DIGITS or not _NUMERAL.match(text):
        return Verbatim(text.decode())
    whole, _point, fraction = text.partition(b".")
    return {"scale": len(fraction), "value": _unscaled(whole + fraction)}


def _unscaled(digits: bytes) -> bytes:
    number = int(digits)
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)


def bits(length: int) -> Callable[[bytes], object]:
    """Return the converter of bit(length): little-endian bytes, the last written bit is bit 0."""
    size = (length + 7) // 8
    return lambda text: int(text, 2).to_bytes(size, "little")


def _date(text: bytes) -> object:
    if len(text) != 10:  # infinity, BC, a year of five digits
        return Verbatim(text.decode())
    return _days(text)


def _time(text: bytes) -> object:
    us = _microseconds(text)
    return us if us < _DAY_US else Verbatim(text.decode())


def _zoned_time(text: bytes) -> object:
    found = _ZONED_TIME.match(text)
    if not found or text.startswith(b"24"):  # offsets with seconds, 24:00:00
        return Verbatim(text.decode())
    time, hours, minutes = (part.decode() if part else ":00" for part in found.groups())
    return f"{time}Z" if hours == "+00" and minutes == ":00" else f"{time}{hours}{minutes}"


def _timestamp(text: bytes) -> object:
    if text[10:11] != b" " or text[-1:] == b"C":  # infinity, a year of five digits, BC
        return Verbatim(text.decode())
    return _days(text[:10]) * _DAY_US + _microseconds(text[11:])


def _zoned_timestamp(text: bytes) -> object:
    if text[10:11] != b" " or text[-3:] != b"+00":
        return Verbatim(text.decode())
    decoded = text.decode()
    return f"{decoded[:10]}T{decoded[11:-3]}Z"


def _interval(text: bytes) -> object:
    decoded = text.decode()
    return decoded if decoded[:1] == "P" else Verbatim(decoded)  # infinity, -infinity since 17


def _days(text: bytes) -> int:
    return date.fromisoformat(text.decode()).toordinal() - _EPOCH_DAY


def _microseconds(text: bytes) -> int:
    """Return the microseconds of ``HH:MM:SS[.f]``."""
    us = (int(text[:2]) * 3600 + int(text[3:5]) * 60 + int(text[6:8])) * 1_000_000
    return us + int(text[9:].ljust(6, b"0")) if len(text) > 8 else us


_CONVERTERS: Final[dict[Kind, Callable[[bytes], object]]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: int,
    Kind.INT32: int,
    Kind.INT64: int,
    Kind.FLOAT32: float,
    Kind.FLOAT64: float,
    Kind.STRING: bytes.decode,
    Kind.BYTES: _bytes,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: _date,
    Kind.MICRO_TIME: _time,
    Kind.ZONED_TIME: _zoned_time,
    Kind.MICRO_TIMESTAMP: _timestamp,
    Kind.ZONED_TIMESTAMP: _zoned_timestamp,
    Kind.INTERVAL: _interval,
    Kind.JSON: bytes.decode,
    Kind.XML: bytes.decode,
    Kind.UUID: bytes.decode,
    Kind.ENUM: bytes.decode,
    Kind.LTREE: bytes.decode,
    Kind.TSVECTOR: bytes.decode,
}
