"""Avro value -> COPY text of the target: the inverse of what the sources' converters give.

The Python value of each kind is documented in schemas.values. Texts are chosen so that PostgreSQL's input functions
read back the very value; they need not be the form that PostgreSQL itself would print.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from schemas.calendar import civil
from schemas.copy_text import escape
from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND_US: Final = 1_000_000
_DAY_US: Final = 86_400 * _SECOND_US


def renderer(value_type: ValueType) -> Callable[[Any], bytes]:
    """Return how values of this type become COPY text, already escaped; never called for NULL or unsent values."""
    if value_type.kind is Kind.DECIMAL:
        scale = value_type.scale or 0
        return lambda unscaled: decimal_text(int.from_bytes(unscaled, "big", signed=True), scale)
    if value_type.kind is Kind.BITS:
        length = value_type.length or 1
        return lambda bits: format(int.from_bytes(bits, "little"), f"0{length}b").encode()
    return _RENDERERS.get(value_type.kind, _text)


def decimal_text(unscaled: int, scale: int) -> bytes:
    """Return ``unscaled * 10^-scale`` with exactly ``scale`` digits after the point (none when it is not positive)."""
    if scale <= 0:
        return b"%d" % (unscaled * 10**-scale)
    digits = str(abs(unscaled)).zfill(scale + 1)
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}".encode()


@lru_cache(maxsize=4096)
def date_text(days: int) -> bytes:
    """Return the ISO form of a day counted from 1970-01-01, for any year; PostgreSQL has no year 0, but 1 BC."""
    year, month, day = civil(days)
    if year <= 0:
        return b"%04d-%02d-%02d BC" % (1 - year, month, day)
    return b"%04d-%02d-%02d" % (year, month, day)


def time_text(micros: int) -> bytes:
    """Return HH:MM:SS[.ffffff] of microseconds since midnight; 86,400 seconds are 24:00:00."""
    seconds, fraction = divmod(micros, _SECOND_US)
    text = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + b".%06d" % fraction if fraction else text


def timestamp_text(micros: int) -> bytes:
    """Return the ISO form of microseconds since 1970-01-01 00:00:00."""
    days, rest = divmod(micros, _DAY_US)
    date = date_text(days)
    if date.endswith(b" BC"):
        return b"%s %s BC" % (date[:-3], time_text(rest))
    return b"%s %s" % (date, time_text(rest))


def _text(text: str) -> bytes:
    return escape(text.encode())


def _boolean(value: bool) -> bytes:  # noqa: FBT001 - the value itself
    return b"t" if value else b"f"


def _integer(value: int) -> bytes:
    return b"%d" % value


def _float(value: float) -> bytes:
    return repr(value).encode()


def _bytea(value: bytes) -> bytes:
    return rb"\\x" + value.hex().encode()


def _variable_decimal(value: dict[str, Any]) -> bytes:
    return decimal_text(int.from_bytes(value["value"], "big", signed=True), value["scale"])


_RENDERERS: Final[dict[Kind, Callable[[Any], bytes]]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _float,
    Kind.BYTES: _bytea,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: date_text,
    Kind.MICRO_TIME: time_text,
    Kind.MICRO_TIMESTAMP: timestamp_text,
}
