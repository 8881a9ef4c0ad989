"""Avro defaults: the value that rows older than a column have, as the column's Avro type spells it (rule 23).

The value arrives as the target's input text. Where the kind's Avro form is more than a reading of that text, there
is no Avro default, and only the property ``ferryman.missing`` carries it; apply uses that one in any case.
"""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

Default = bool | int | float | str

_SAME_TEXT: Final = frozenset({Kind.STRING, Kind.JSON, Kind.XML, Kind.ENUM, Kind.LTREE, Kind.TSVECTOR})
_BOOLEANS: Final = {"t": True, "true": True, "f": False, "false": False}
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER_BITS: Final = {Kind.INT16: 16, Kind.INT32: 32, Kind.INT64: 64}
_FLOAT32_MAX: Final = 3.4028234663852886e38
_EPOCH: Final = date(1970, 1, 1).toordinal()


def avro_default(value_type: ValueType, text: str) -> Default | None:
    """Return the JSON that spells a value in a schema, or None when this kind or value has no exact one.

    Bytes are spelled as Avro wants them: one character of Latin-1 for each byte.
    """
    if value_type.kind in _SAME_TEXT:
        return text if _is_unicode(text) else None
    if value_type.kind in _INTEGER_BITS:
        return _integer(text, _INTEGER_BITS[value_type.kind])
    reading = _READINGS.get(value_type.kind)
    return reading(value_type, text) if reading else None


def decimal_bytes(unscaled: int) -> bytes:
    """Return an integer as Avro decimals hold it: big-endian two's complement, as few bytes as can be."""
    magnitude = unscaled if unscaled >= 0 else ~unscaled
    return unscaled.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def _integer(text: str, bits: int) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -(1 << bits - 1) <= value < 1 << bits - 1 else None


def _boolean(_: ValueType, text: str) -> bool | None:
    return _BOOLEANS.get(text)


def _float32(_: ValueType, text: str) -> float | None:
    value = _float64(_, text)
    return value if value is not None and abs(value) <= _FLOAT32_MAX else None


def _float64(_: ValueType, text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _decimal(value_type: ValueType, text: str) -> str | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or exponent != -(value_type.scale or 0):
        return None
    unscaled = int("".join(map(str, digits)))
    return decimal_bytes(-unscaled if sign else unscaled).decode("latin-1")


def _bytea(_: ValueType, text: str) -> str | None:
    try:
        return bytes.fromhex(text[2:]).decode("latin-1") if text.startswith("\\x") else None
    except ValueError:
        return None


def _date(_: ValueType, text: str) -> int | None:
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _uuid(_: ValueType, text: str) -> str | None:
    return text if _UUID.fullmatch(text) else None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


_READINGS: Final[dict[Kind, Callable[[ValueType, str], Default | None]]] = {
    Kind.BOOLEAN: _boolean,
    Kind.FLOAT32: _float32,
    Kind.FLOAT64: _float64,
    Kind.DECIMAL: _decimal,
    Kind.BYTES: _bytea,
    Kind.DATE: _date,
    Kind.UUID: _uuid,
}
