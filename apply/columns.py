r"""Typed columns -> COPY text of the target: what :mod:`apply.types` does for one value, for all rows at once.

The text of every value is the very one that the row-wise renderer makes; where a kernel cannot promise that, the
column is rendered value by value. Source of the escapes: PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apply.types import renderer
from schemas.columnar.arrays import (
    Bytes,
    Ints,
    Mask,
    Unserved,
    binary,
    constants,
    data_of,
    fixed,
    gather,
    join,
    lengths_of,
    nulls_of,
    offsets_of,
    take,
    with_nulls,
)
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts
from schemas.copy_text import escape
from schemas.table import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.columnar.typed import Typed
    from schemas.table import ValueType

    Render = Callable[[Any], pa.BinaryArray]

#: Days and microseconds that have four digits of a year, which is how Arrow spells all others too: 0001 to 9999.
_DAYS: Final = (-719_162, 2_932_896)
_DAY_US: Final = 86_400_000_000
#: Characters of a time without its fraction, and of an instant.
_TIME, _TIMESTAMP = 8, 19
#: Bytes below this one may be control characters that COPY escapes.
_LETTERS: Final = ord(" ")
#: Bytes of unscaled values that fit 64 bits.
_INT64_BYTES: Final = 8
#: Powers of ten that fit 64 bits.
_MOST_DIGITS: Final = 18
#: Numbers below this have their digits in a table: a third of the time that it takes to make them.
_SMALL: Final = 10_000


def column_renderer(value_type: ValueType) -> Callable[[Typed], pa.BinaryArray]:
    """Return how typed columns of this type become COPY text, already escaped; nulls stay null."""
    one_by_one = _one_by_one(value_type)
    render = _decimal(value_type.scale or 0) if value_type.kind is Kind.DECIMAL else _RENDERERS.get(value_type.kind)
    if render is None:
        return one_by_one

    def served(column: Typed) -> pa.BinaryArray:
        try:
            return render(column)
        except Unserved:
            return one_by_one(column)

    return served


def _text(column: Texts) -> pa.BinaryArray:
    return escaped(column.values)


def escaped(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Return texts with backslashes and control characters escaped: only values that have any are looked at."""
    data = data_of(texts)
    if data.min(initial=_LETTERS) >= _LETTERS and not (data == ord("\\")).any():
        return texts
    special = np.flatnonzero((data - np.uint8(ord("\b")) < 6) | (data == ord("\\")))
    if not len(special):
        return texts
    offsets = offsets_of(texts)
    owners = np.unique(np.searchsorted(offsets - offsets[0], special, "right") - 1)
    changed = [escape(text) for text in take(texts, owners).to_pylist()]
    places = np.zeros(len(texts), np.bool_)
    places[owners] = True
    return pc.replace_with_mask(texts, pa.array(places), pa.array(changed, pa.binary()))


def _boolean(column: Booleans) -> pa.BinaryArray:
    return with_nulls(take(_FLAGS, column.values.view(np.int8)), column.null)


def _integer(column: Longs) -> pa.BinaryArray:
    return with_nulls(_digits(column.values), column.null)


def _digits(numbers: Ints) -> pa.BinaryArray:
    if len(numbers) and numbers.min() >= 0 and numbers.max() < _SMALL:
        return take(_small_numerals(), numbers)
    return pa.array(numbers).cast(pa.string()).view(pa.binary())


def _decimal(scale: int) -> Render:
    def render(column: Texts) -> pa.BinaryArray:
        return with_nulls(decimal_texts(_integers(column.values), scale), nulls_of(column.values))

    return render


def decimal_texts(unscaled: Ints, scale: int) -> pa.BinaryArray:
    """Return ``unscaled * 10^-scale`` with exactly ``scale`` digits after the point."""
    if scale == 0:
        return _digits(unscaled)
    if not 0 < scale <= _MOST_DIGITS or (len(unscaled) and unscaled.min() == np.iinfo(np.int64).min):
        raise Unserved
    negative = unscaled < 0
    signs = [take(_SIGNS, negative.view(np.int8))] if negative.any() else []
    magnitudes = (np.abs(unscaled) if signs else unscaled).view(np.uint64)  # NumPy divides unsigned numbers much faster
    unit = np.uint64(10**scale)
    whole = magnitudes // unit
    fraction = (magnitudes - whole * unit).view(np.int64)
    return join([*signs, _digits(whole.view(np.int64)), _fractions(fraction, scale)])


def _fractions(numbers: Ints, scale: int) -> pa.BinaryArray:
    """Return a point and exactly ``scale`` digits."""
    if 10**scale <= _SMALL:
        return take(_small_fractions(scale), numbers)
    padded = data_of(_digits(numbers + 10**scale)).reshape(-1, scale + 1).copy()
    padded[:, 0] = ord(".")
    return fixed(padded)


@lru_cache(1)
def _small_numerals() -> pa.BinaryArray:
    return constants([b"%d" % i for i in range(_SMALL)])


@lru_cache(_MOST_DIGITS)
def _small_fractions(scale: int) -> pa.BinaryArray:
    return constants([b".%0*d" % (scale, i) for i in range(10**scale)])


def _integers(unscaled: pa.BinaryArray) -> Ints:
    """Return big-endian two's complement of at most eight bytes as numbers; nulls are of no meaning."""
    sizes = lengths_of(unscaled).astype(np.int64)
    if sizes.max(initial=0) > _INT64_BYTES:
        raise Unserved
    # Eight bytes up to the end of each value, whatever stands before it; the shifts let only the value through.
    raw = bytes(_INT64_BYTES) + data_of(unscaled).tobytes()
    words = np.ndarray((len(raw) - 7,), ">i8", raw, strides=(1,))
    offsets = offsets_of(unscaled)
    numbers = words[(offsets[1:] - offsets[0]).astype(np.int64)].astype(np.int64)
    unused = 64 - 8 * np.maximum(sizes, 1)
    return np.where(sizes > 0, numbers << unused >> unused, 0)


def _variable_decimal(column: Decimals) -> pa.BinaryArray:
    """Return each value with its own scale: those of one scale together."""
    numbers, null = _integers(column.unscaled), nulls_of(column.unscaled)
    scales = column.scales if null is None else np.where(null, 0, column.scales)
    order, groups = [], []
    for scale in np.unique(scales).tolist():
        places = np.flatnonzero(scales == scale)
        order.append(places)
        groups.append(decimal_texts(numbers[places], scale))
    if not groups:
        return pa.array([], pa.binary())
    back = np.empty(len(scales), np.int64)
    back[np.concatenate(order)] = np.arange(len(scales))
    return with_nulls(take(pa.concat_arrays(groups), back), null)


def _bytes(column: Texts) -> pa.BinaryArray:
    values = column.values
    digits = _HEXADECIMAL[data_of(values)].reshape(-1)
    offsets = offsets_of(values)
    plain = binary((offsets - offsets[0]) * np.int32(2), digits)
    return with_nulls(join([rb"\\x", plain]), nulls_of(values))


def _date(column: Longs) -> pa.BinaryArray:
    days = _within(column, _DAYS)
    return with_nulls(_spelled(days.astype(np.int32), pa.date32()), column.null)


def _time(column: Longs) -> pa.BinaryArray:
    micros = _within(column, (0, _DAY_US - 1))
    return with_nulls(_cut(_spelled(micros, pa.time64("us")), micros % 1_000_000 == 0, _TIME), column.null)


def _timestamp(column: Longs) -> pa.BinaryArray:
    micros = _within(column, (_DAYS[0] * _DAY_US, (_DAYS[1] + 1) * _DAY_US - 1))
    return with_nulls(_cut(_spelled(micros, pa.timestamp("us")), micros % 1_000_000 == 0, _TIMESTAMP), column.null)


def _within(column: Longs, bounds: tuple[int, int]) -> Ints:
    """Return the values, which must lie within bounds where they are not null."""
    values = column.values if column.null is None else np.where(column.null, 0, column.values)
    if values.min(initial=0) < bounds[0] or values.max(initial=0) > bounds[1]:
        raise Unserved
    return values


def _spelled(numbers: Any, to: pa.DataType) -> pa.BinaryArray:
    return pa.array(numbers).view(to).cast(pa.string()).view(pa.binary())


def _cut(texts: pa.BinaryArray, whole_seconds: Mask, length: int) -> pa.BinaryArray:
    """Return times without their fraction where it is zero."""
    if not whole_seconds.any():
        return texts
    offsets = offsets_of(texts)
    starts = offsets[:-1] - offsets[0]
    return gather(data_of(texts), starts, np.where(whole_seconds, starts + length, offsets[1:] - offsets[0]))


def _one_by_one(value_type: ValueType) -> Callable[[Typed], pa.BinaryArray]:
    """Return the renderer that makes Python values of a column and renders each of them."""
    render = renderer(value_type)
    is_bytes = value_type.kind in _BYTES

    def rendered(column: Typed) -> pa.BinaryArray:
        values = _python_values(column, is_bytes=is_bytes)
        return pa.array([None if value is None else render(value) for value in values], pa.binary())

    return rendered


def _python_values(column: Typed, *, is_bytes: bool) -> list[Any]:
    match column:
        case Longs(values, null) | Booleans(values, null) | Floats(values, null):
            found = values.tolist()
            return found if null is None else [None if gone else v for v, gone in zip(found, null, strict=True)]
        case Decimals(scales, unscaled):
            pairs = zip(scales.tolist(), unscaled.to_pylist(), strict=True)
            return [None if value is None else {"scale": scale, "value": value} for scale, value in pairs]
        case Texts(values):
            found = values.to_pylist()
            return found if is_bytes else [None if value is None else value.decode() for value in found]
    raise AssertionError("columns that are read are never written ones")


_FLAGS: Final = constants([b"f", b"t"])
_SIGNS: Final = constants([b"", b"-"])
_HEXADECIMAL: Final[Bytes] = np.frombuffer(bytes(range(256)).hex().encode(), np.uint8).reshape(256, 2)
_BYTES: Final = {Kind.BYTES, Kind.DECIMAL, Kind.BITS}
_TEXTS: Final = (
    *(Kind.STRING, Kind.JSON, Kind.XML, Kind.UUID, Kind.ENUM, Kind.LTREE, Kind.TSVECTOR),
    *(Kind.INTERVAL, Kind.ZONED_TIME, Kind.ZONED_TIMESTAMP),
)
_RENDERERS: Final[dict[Kind, Render]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.BYTES: _bytes,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: _date,
    Kind.MICRO_TIME: _time,
    Kind.MICRO_TIMESTAMP: _timestamp,
    **dict.fromkeys(_TEXTS, _text),
}
