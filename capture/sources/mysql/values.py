"""The source form of a value, as an Avro value: one converter for each kind. Pure, and run once for every value.

What the source form is, is written in :mod:`.row_images.forms`; what it becomes, in ``schemas.values``.
"""

from __future__ import annotations

import struct
from datetime import date
from typing import TYPE_CHECKING, Final

from capture.sources.mysql.policy import NUL_CHARACTERS, ZERO_DATES, Policy
from capture.sources.mysql.row_images.numerals import short_float_text
from schemas.table import Column, Kind
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY_US: Final = 86_400_000_000
#: PostGIS' flag in the type of a geometry: an SRID follows.
_WITH_SRID: Final = 0x2000_0000
#: Bytes of a WKB in front of its coordinates: byte order and kind.
_WKB_HEAD: Final = 5
_GEOMETRIES: Final = frozenset(
    {
        "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
        "GEOMETRYCOLLECTION",
    }
)  # fmt: skip
_NUL: Final = b"\0"
_PICTURE_OF_NUL: Final = "\u2400".encode()
_BEFORE_ALL: Final = Verbatim("-infinity")


def converter(column: Column, policy: Policy | None = None) -> Callable[[bytes], object]:
    """Return the function from this column's source form to its Avro value.

    It gives Verbatim for what the type cannot hold, and raises ValueError for what is not of its type.
    """
    policy = policy or Policy()
    kind = column.type.kind
    if kind in (Kind.DATE, Kind.MICRO_TIMESTAMP, Kind.ZONED_TIMESTAMP):
        return _dated(_DATES[kind], policy)
    if kind in _TEXTS:
        return _text(column, policy)
    if is_geometry(column):
        return _ewkb
    if kind is Kind.BITS:
        return lambda big_endian: big_endian[::-1]
    return _CONVERTERS[kind]


def is_geometry(column: Column) -> bool:
    """Whether the column's source form is an SRID and WKB."""
    return column.type.kind is Kind.BYTES and column.source_type in _GEOMETRIES


def is_vector(column: Column) -> bool:
    """Whether the column's source form are floats."""
    return column.source_type == "VECTOR"


def _text(column: Column, policy: Policy) -> Callable[[bytes], object]:
    if is_vector(column):
        return _vector
    if not policy.symbol:
        return bytes.decode

    def without_nul(text: bytes) -> object:
        if _NUL in text:
            policy.altered(NUL_CHARACTERS)
            text = text.replace(_NUL, _PICTURE_OF_NUL)
        return text.decode()

    return without_nul


def _dated(convert: Callable[[bytes], object], policy: Policy) -> Callable[[bytes], object]:
    """Return a converter of dates; those that no calendar has are of its policy."""

    def checked(text: bytes) -> object:
        try:
            return convert(text)
        except ValueError:
            if policy.infinity:
                policy.altered(ZERO_DATES)
                return _BEFORE_ALL
            return Verbatim(text.decode())

    return checked


def _decimal(text: bytes) -> object:
    """Return the unscaled value; the text has all digits of the scale."""
    number = int(text.replace(b".", b""))
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)


def _days(text: bytes) -> int:
    return date.fromisoformat(text.decode()).toordinal() - _EPOCH_DAY


def _timestamp(text: bytes) -> int:
    return _days(text[:10]) * _DAY_US + _microseconds(text[11:])


def _zoned_timestamp(text: bytes) -> str:
    decoded = text.decode()
    date.fromisoformat(decoded[:10])
    return f"{decoded[:10]}T{decoded[11:]}Z"


def _microseconds(text: bytes) -> int:
    """Return the microseconds of ``HH:MM:SS[.f]``."""
    us = (int(text[:2]) * 3600 + int(text[3:5]) * 60 + int(text[6:8])) * 1_000_000
    return us + int(text[9:].ljust(6, b"0")) if len(text) > 8 else us


def _interval(text: bytes) -> str:
    """Return ``[-]HHH:MM:SS[.f]`` as an ISO 8601 duration, whose parts have the sign each."""
    sign, time = ("-", text[1:]) if text[:1] == b"-" else ("", text)
    hours, minutes, seconds = time.decode().split(":")
    whole, point, fraction = seconds.partition(".")
    fraction = fraction.rstrip("0")
    parts = [(hours.lstrip("0"), "H"), (minutes.lstrip("0"), "M")]
    exact = f"{whole.lstrip('0') or '0'}{point if fraction else ''}{fraction}"
    parts.append(("" if exact == "0" else exact, "S"))
    return "PT" + ("".join(f"{sign}{digits}{unit}" for digits, unit in parts if digits) or "0S")


def _ewkb(stored: bytes) -> bytes:
    """Return a geometry as PostGIS reads it: WKB, with the SRID in its head unless that is 0."""
    srid, wkb = int.from_bytes(stored[:4], "little"), stored[4:]
    if not srid:
        return wkb
    if len(wkb) < _WKB_HEAD:
        raise ValueError("a geometry without a head")
    order = "little" if wkb[0] else "big"
    kind = int.from_bytes(wkb[1:5], order) | _WITH_SRID  # type: ignore[arg-type]
    return wkb[:1] + kind.to_bytes(4, order) + srid.to_bytes(4, order) + wkb[5:]  # type: ignore[arg-type]


def _vector(packed: bytes) -> str:
    """Return what pgvector reads: ``[1,0.5]``, each number the shortest that is the same 32-bit one."""
    return f"[{','.join(map(short_float_text, struct.unpack(f'<{len(packed) // 4}f', packed)))}]"


_TEXTS: Final = frozenset({Kind.STRING, Kind.JSON, Kind.ENUM})
_DATES: Final[dict[Kind, Callable[[bytes], object]]] = {
    Kind.DATE: _days,
    Kind.MICRO_TIMESTAMP: _timestamp,
    Kind.ZONED_TIMESTAMP: _zoned_timestamp,
}
_CONVERTERS: Final[dict[Kind, Callable[[bytes], object]]] = {
    Kind.INT16: int,
    Kind.INT32: int,
    Kind.INT64: int,
    Kind.FLOAT32: float,
    Kind.FLOAT64: float,
    Kind.BYTES: bytes,
    Kind.DECIMAL: _decimal,
    Kind.INTERVAL: _interval,
    Kind.UUID: bytes.decode,
}
