"""PostgreSQL's text of a whole column, as typed values: what :mod:`capture.sources.postgres.values` does for one value.

A kernel serves a column only if it gives for every value exactly what the row-wise converter gives. Anything else
(verbatim values, forms that PostgreSQL never sends) raises Unserved, and the column is converted value by value. So
kernels are strict: Arrow's parsers take some forms that Python's do not, and those must not get through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columnar.arrays import Unserved, binary, data_of, gather, join, lengths_of, nulls_of, offsets_of, ragged
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts, spread
from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.columnar.arrays import Bytes, Ints
    from schemas.columnar.typed import Typed

    Kernel = Callable[[pa.BinaryArray], Typed]

#: Numerals up to this length, sign included, fit 64 bits.
_INT64_LENGTH: Final = 18
_INT32: Final = (-(1 << 31), (1 << 31) - 1)
_DAY_US: Final = 86_400_000_000
#: 0001-01-01, the first day that Python knows, counted from 1970-01-01.
_FIRST_DAY: Final = -719_162
_EPOCH: Final = b"1970-01-01 "
_ZONE: Final = b"+00"


def kernel(value_type: ValueType) -> Kernel:
    """Return the kernel of a type's columns; it raises Unserved."""
    if value_type.kind in _TEXTS:
        return _text
    if value_type.kind is Kind.DECIMAL:
        return _where_present(_decimal(value_type.scale or 0))
    convert = _CONVERTERS.get(value_type.kind)
    return _none if convert is None else _where_present(convert)


def _where_present(convert: Kernel) -> Kernel:
    """Return a kernel that converts what is not null, and leaves the nulls between."""

    def served(texts: pa.BinaryArray) -> Typed:
        null = nulls_of(texts)
        return convert(texts) if null is None else spread(convert(texts.drop_null()), null)

    return served


def _none(_texts: pa.BinaryArray) -> Typed:
    raise Unserved


def _text(texts: pa.BinaryArray) -> Texts:
    try:
        texts.view(pa.string()).validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8
        raise Unserved from None
    return Texts(texts)


def _interval(texts: pa.BinaryArray) -> Texts:
    _require(pc.all(pc.starts_with(texts, "P"), min_count=0).as_py())
    return _text(texts)


def _zoned_timestamp(texts: pa.BinaryArray) -> Texts:
    """Return ``...T...Z`` for ``... ...+00``: in UTC only byte 10 and the end differ."""
    offsets, data = _dense(texts)
    starts, ends = offsets[:-1], offsets[1:]
    _require(_all_lengths(texts, 14, None) and data.max(initial=0) < 0x80)
    _require((data[starts + 10] == ord(" ")).all())
    _require(all((data[ends - 3 + i] == byte).all() for i, byte in enumerate(_ZONE)))
    data = data.copy()
    data[starts + 10] = ord("T")
    data[ends - 3] = ord("Z")
    return Texts(gather(data, starts, ends - 2))


def _boolean(texts: pa.BinaryArray) -> Booleans:
    return Booleans(pc.equal(texts, _TRUE).to_numpy(zero_copy_only=False), None)


def _long(texts: pa.BinaryArray) -> Longs:
    _require(_are_numerals(data_of(texts)))
    return Longs(_parsed(texts, pa.int64()), None)


def _int(texts: pa.BinaryArray) -> Longs:
    longs = _long(texts)
    _require(longs.values.min(initial=0) >= _INT32[0] and longs.values.max(initial=0) <= _INT32[1])
    return longs


def _double(texts: pa.BinaryArray) -> Floats:
    _require(_IN_FLOATS[data_of(texts)].all())
    return Floats(_parsed(texts, pa.float64()), None)


def _float(texts: pa.BinaryArray) -> Floats:
    values = _double(texts).values
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    _require((np.isinf(rounded) == np.isinf(values)).all())
    return Floats(rounded, None)


def _decimal(scale: int) -> Kernel:
    """Return the kernel of numeric(p, scale), whose texts all have ``scale`` digits after the point."""

    def convert(texts: pa.BinaryArray) -> Texts:
        if not scale:
            return Texts(_unscaled(texts))
        _require(_all_lengths(texts, scale + 1, None))
        offsets, data = _dense(texts)
        points = offsets[1:] - 1 - scale
        _require((data[points] == ord(".")).all())
        before = np.arange(len(offsets), dtype=np.int32)
        return Texts(_unscaled(binary(offsets - before, np.delete(data, points))))

    return convert


def _variable_decimal(texts: pa.BinaryArray) -> Decimals:
    """Return the digits after the point, and all digits as one integer."""
    offsets, data = _dense(texts)
    points = np.flatnonzero(data == ord("."))
    owners = np.searchsorted(offsets, points, "right") - 1
    after = offsets[1:][owners] - 1 - points
    _require((owners[1:] > owners[:-1]).all() and (after > 0).all() and (points > offsets[owners]).all())
    _require((data[points - 1] != ord("-")).all())
    scales = np.zeros(len(texts), np.int64)
    scales[owners] = after
    before = np.zeros(len(offsets), np.int32)
    np.cumsum(scales > 0, out=before[1:])
    return Decimals(scales, _unscaled(binary(offsets - before, np.delete(data, points))))


def _unscaled(numerals: pa.BinaryArray) -> pa.BinaryArray:
    """Return integers as big-endian two's complement in the fewest bytes."""
    _require(_all_lengths(numerals, 1, _INT64_LENGTH) and _are_numerals(data_of(numerals)))
    numbers = _parsed(numerals, pa.int64())
    sizes = _bytes_needed(numbers)
    longest = int(sizes.max(initial=1))
    whole = numbers.astype(">i8").view(np.uint8).reshape(-1, 8)
    if (sizes == longest).all():
        return ragged(whole[:, 8 - longest :], sizes)
    ends = np.arange(8, 8 * len(numbers) + 1, 8, dtype=np.int32)
    return gather(whole, ends - sizes, ends)


def _bytes_needed(numbers: Ints) -> Ints:
    magnitudes = numbers ^ (numbers >> 63)
    sizes = np.ones(len(numbers), np.int64)
    for bits in range(7, 63, 8):
        longer = magnitudes >> bits > 0
        if not longer.any():
            break
        sizes += longer
    return sizes


def _bytes(texts: pa.BinaryArray) -> Texts:
    r"""Return what the hexadecimal digits behind ``\x`` stand for."""
    _require(_all_lengths(texts, 2, None) and not (lengths_of(texts) & 1).any())
    offsets, data = _dense(texts)
    digits = _NIBBLES[data_of(gather(data, offsets[:-1] + 2, offsets[1:]))]
    _require((digits < 16).all())
    before = np.arange(len(offsets), dtype=np.int32)
    return Texts(binary(offsets // 2 - before, digits[0::2] << 4 | digits[1::2]))


def _date(texts: pa.BinaryArray) -> Longs:
    _require(_all_lengths(texts, 10, 10))
    days = _parsed(texts, pa.date32(), np.int32).astype(np.int64)
    _require(days.min(initial=0) >= _FIRST_DAY)
    return Longs(days, None)


def _time(texts: pa.BinaryArray) -> Longs:
    """Return microseconds since midnight: Arrow reads a time of day as one of the epoch's first."""
    _require(_all_lengths(texts, 8, 15))
    return Longs(_parsed(join([_EPOCH, texts]), pa.timestamp("us"), np.int64), None)


def _timestamp(texts: pa.BinaryArray) -> Longs:
    _require(_all_lengths(texts, 19, 26))
    offsets, data = _dense(texts)
    _require((data[offsets[:-1] + 10] == ord(" ")).all())
    micros = _parsed(texts, pa.timestamp("us"), np.int64)
    _require(micros.min(initial=0) >= _FIRST_DAY * _DAY_US)
    return Longs(micros, None)


def _require(condition: object) -> None:
    if not condition:
        raise Unserved


def _parsed(texts: pa.BinaryArray, to: pa.DataType, storage: Any = None) -> Any:
    """Return texts without nulls as NumPy numbers; ``storage`` is the width of a type that NumPy has no number for."""
    try:
        values = texts.view(pa.string()).cast(to)
    except pa.ArrowInvalid:
        raise Unserved from None
    return values.to_numpy() if storage is None else values.view(pa.from_numpy_dtype(storage)).to_numpy()


def _dense(texts: pa.BinaryArray) -> tuple[np.ndarray[Any, np.dtype[np.int32]], Bytes]:
    offsets = offsets_of(texts)
    return offsets - offsets[0], data_of(texts)


def _all_lengths(texts: pa.BinaryArray, least: int, most: int | None) -> bool:
    lengths = lengths_of(texts)
    if not len(lengths):
        return True
    return bool(lengths.min() >= least and (most is None or lengths.max() <= most))


def _are_numerals(data: Bytes) -> bool:
    """Whether there are digits and minus signs only; Arrow sees to the signs' places, but knows hexadecimal too."""
    return bool(((data - np.uint8(ord("0")) < 10) | (data == ord("-"))).all())


def _table(true: bytes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin(np.arange(256), np.frombuffer(true, np.uint8))


_TRUE: Final = pa.scalar(b"t", pa.binary())
_IN_FLOATS: Final = _table(b"0123456789-.e+")
_NIBBLES: Final = np.array(
    [int(chr(i), 16) if chr(i) in "0123456789abcdefABCDEF" else 255 for i in range(256)], np.uint8
)
_TEXTS: Final = {Kind.STRING, Kind.JSON, Kind.XML, Kind.UUID, Kind.ENUM, Kind.LTREE, Kind.TSVECTOR}
_CONVERTERS: Final[dict[Kind, Kernel]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: _int,
    Kind.INT32: _int,
    Kind.INT64: _long,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _double,
    Kind.BYTES: _bytes,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: _date,
    Kind.MICRO_TIME: _time,
    Kind.MICRO_TIMESTAMP: _timestamp,
    Kind.ZONED_TIMESTAMP: _zoned_timestamp,
    Kind.INTERVAL: _interval,
}
