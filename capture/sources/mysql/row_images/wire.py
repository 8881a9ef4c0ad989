"""How the values of a column stand in row images: one byte of type and up to two of metadata from the log. Pure.

Source: MySQL, ``libs/mysql/binlog/event/rows_event.h`` (Table_map_event), ``sql/field.cc`` (``pack``); MariaDB,
``sql/log_event.h``, whose own types are those of compressed columns.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class WireType(IntEnum):
    """Type codes of the log (``enum_field_types``)."""

    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    BLOB_COMPRESSED = 140
    VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


class Wire(NamedTuple):
    """A column's type in the log.

    ``size`` is what the type's values are measured by: the longest value in bytes (VARCHAR, STRING, VAR_STRING), the
    bytes of a value (ENUM, SET), of a length (BLOB, JSON, GEOMETRY, VECTOR, BLOB_COMPRESSED), bits (BIT), digits of
    the fraction (TIME2, DATETIME2, TIMESTAMP2), precision (NEWDECIMAL, which alone has a ``scale``).
    """

    type: WireType
    size: int = 0
    scale: int = 0


#: Bytes of metadata by type.
_METADATA: Final = {
    WireType.FLOAT: 1, WireType.DOUBLE: 1, WireType.BLOB: 1, WireType.JSON: 1, WireType.GEOMETRY: 1,
    WireType.VECTOR: 1, WireType.BLOB_COMPRESSED: 1, WireType.TIMESTAMP2: 1, WireType.DATETIME2: 1,
    WireType.TIME2: 1, WireType.VARCHAR: 2, WireType.VARCHAR_COMPRESSED: 2, WireType.VAR_STRING: 2,
    WireType.STRING: 2, WireType.ENUM: 2, WireType.SET: 2, WireType.BIT: 2, WireType.NEWDECIMAL: 2,
}  # fmt: skip

#: Bits 4 and 5 of a STRING's type byte hold, turned, bits 8 and 9 of its length.
_LENGTH_BITS: Final = 0x30


def wires(types: bytes, metadata: bytes) -> tuple[Wire, ...]:
    """Return the columns' types; raises ValueError for one that is not known, IndexError when metadata is short."""
    out, at = [], 0
    for code in types:
        kind = WireType(code)
        size = _METADATA.get(kind, 0)
        out.append(_wire(kind, metadata[at : at + size]))
        at += size
    return tuple(out)


def _wire(kind: WireType, metadata: bytes) -> Wire:
    match kind:
        case WireType.STRING:
            return _string(metadata[0], metadata[1])
        case WireType.VARCHAR | WireType.VARCHAR_COMPRESSED | WireType.VAR_STRING:
            return Wire(kind, metadata[0] | metadata[1] << 8)
        case WireType.BIT:
            return Wire(kind, metadata[0] + 8 * metadata[1])
        case WireType.NEWDECIMAL:
            return Wire(kind, metadata[0], metadata[1])
        case WireType.ENUM | WireType.SET:
            return Wire(kind, metadata[1])
        case _:
            return Wire(kind, metadata[0] if metadata else 0)


def _string(real_type: int, length: int) -> Wire:
    if real_type & _LENGTH_BITS != _LENGTH_BITS:
        length |= ((real_type & _LENGTH_BITS) ^ _LENGTH_BITS) << 4
        real_type |= _LENGTH_BITS
    return Wire(WireType(real_type), length)


#: Bytes of a value, for types whose values all have the same.
_FIXED: Final = {
    WireType.TINY: 1, WireType.SHORT: 2, WireType.INT24: 3, WireType.LONG: 4, WireType.LONGLONG: 8,
    WireType.FLOAT: 4, WireType.DOUBLE: 8, WireType.YEAR: 1, WireType.DATE: 3, WireType.NEWDATE: 3,
    WireType.TIME: 3, WireType.DATETIME: 8, WireType.TIMESTAMP: 4, WireType.NULL: 0,
}  # fmt: skip

_BEHIND_LENGTH: Final = frozenset(
    {WireType.BLOB, WireType.JSON, WireType.GEOMETRY, WireType.VECTOR, WireType.BLOB_COMPRESSED}
)
#: Bytes before the fraction.
_WITH_FRACTION: Final = {WireType.TIMESTAMP2: 4, WireType.DATETIME2: 5, WireType.TIME2: 3}


def fixed_size(wire: Wire) -> int | None:
    """Return how many bytes each value has; None: they differ, and each begins with its length."""
    if wire.type in _FIXED:
        return _FIXED[wire.type]
    if wire.type in _WITH_FRACTION:
        return _WITH_FRACTION[wire.type] + (wire.size + 1) // 2
    if wire.type is WireType.NEWDECIMAL:
        return decimal_size(wire.size, wire.scale)
    if wire.type is WireType.BIT:
        return (wire.size + 7) // 8
    return wire.size if wire.type in (WireType.ENUM, WireType.SET) else None


def length_size(wire: Wire) -> int:
    """Return how many bytes, little-endian, the length of each value has."""
    if wire.type in _BEHIND_LENGTH:
        return wire.size
    return 2 if wire.size > 255 else 1


#: Bytes that hold 0 to 8 decimal digits more than whole groups of nine, which have four.
_DIGIT_BYTES: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4)


def decimal_size(precision: int, scale: int) -> int:
    """Return how many bytes a packed DECIMAL(precision, scale) has."""
    return sum(digits // 9 * 4 + _DIGIT_BYTES[digits % 9] for digits in (precision - scale, scale))
