"""Text of numbers, dates and times as typed columns: what sources whose values come as text have in common. Pure.

Each kernel gives for every value what ``int``, ``float`` and ``datetime`` make of it, and raises Unserved for what they
refuse or what is not in the form that it names: Arrow's parsers take more forms than Python's, and those must not get
through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.columnar.arrays import Unserved, binary, data_of, gather, lengths_of, nulls_of, offsets_of, ragged
from schemas.columnar.typed import Floats, Longs, Texts, spread

if TYPE_CHECKING:
    from schemas.columnar.arrays import Bytes, Ints
    from schemas.columnar.images import Kernel
    from schemas.columnar.typed import Typed

#: Numerals up to this length, sign included, fit 64 bits.
_INT64_LENGTH: Final = 18
_INT32: Final = (-(1 << 31), (1 << 31) - 1)
_DAY_US: Final = 86_400_000_000
#: 0001-01-01, the first day that Python knows, counted from 1970-01-01.
_FIRST_DAY: Final = -719_162


def where_present(convert: Kernel) -> Kernel:
    """Return a kernel that converts what is not null, and leaves the nulls between."""

    def served(texts: pa.BinaryArray) -> Typed:
        null = nulls_of(texts)
        return convert(texts) if null is None else spread(convert(texts.drop_null()), null)

    return served


def text(texts: pa.BinaryArray) -> Texts:
    """Return UTF-8 as it is."""
    try:
        texts.view(pa.string()).validate(full=True)
    except pa.ArrowInvalid:  # not UTF-8
        raise Unserved from None
    return Texts(texts)


def long(texts: pa.BinaryArray) -> Longs:
    """Return integers of 64 bits."""
    require(are_numerals(data_of(texts)))
    return Longs(parsed(texts, pa.int64()), None)


def integer(texts: pa.BinaryArray) -> Longs:
    """Return integers that fit 32 bits."""
    longs = long(texts)
    require(longs.values.min(initial=0) >= _INT32[0] and longs.values.max(initial=0) <= _INT32[1])
    return longs


def double(texts: pa.BinaryArray) -> Floats:
    """Return finite doubles."""
    require(_IN_FLOATS[data_of(texts)].all())
    return Floats(parsed(texts, pa.float64()), None)


def single(texts: pa.BinaryArray) -> Floats:
    """Return floats of 32 bits: doubles, rounded; what would become infinite is not served."""
    values = double(texts).values
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    require((np.isinf(rounded) == np.isinf(values)).all())
    return Floats(rounded, None)


def decimal(scale: int) -> Kernel:
    """Return the kernel of numeric(p, scale), whose texts all have ``scale`` digits after the point."""

    def convert(texts: pa.BinaryArray) -> Texts:
        if not scale:
            return Texts(unscaled(texts))
        require(all_lengths(texts, scale + 1, None))
        offsets, data = dense(texts)
        points = offsets[1:] - 1 - scale
        require((data[points] == ord(".")).all())
        before = np.arange(len(offsets), dtype=np.int32)
        return Texts(unscaled(binary(offsets - before, np.delete(data, points))))

    return convert


def unscaled(numerals: pa.BinaryArray) -> pa.BinaryArray:
    """Return integers as big-endian two's complement in the fewest bytes."""
    require(all_lengths(numerals, 1, _INT64_LENGTH) and are_numerals(data_of(numerals)))
    numbers = parsed(numerals, pa.int64())
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


def date(texts: pa.BinaryArray) -> Longs:
    """Return days since 1970-01-01 of ``YYYY-MM-DD``."""
    require(all_lengths(texts, 10, 10))
    days = parsed(texts, pa.date32(), np.int32).astype(np.int64)
    require(days.min(initial=0) >= _FIRST_DAY)
    return Longs(days, None)


def timestamp(texts: pa.BinaryArray) -> Longs:
    """Return microseconds since 1970 of ``YYYY-MM-DD HH:MM:SS[.f]``."""
    require(all_lengths(texts, 19, 26))
    offsets, data = dense(texts)
    require((data[offsets[:-1] + 10] == ord(" ")).all())
    micros = parsed(texts, pa.timestamp("us"), np.int64)
    require(micros.min(initial=0) >= _FIRST_DAY * _DAY_US)
    return Longs(micros, None)


def require(condition: object) -> None:
    """Raise Unserved unless the condition holds."""
    if not condition:
        raise Unserved


def parsed(texts: pa.BinaryArray, to: pa.DataType, storage: Any = None) -> Any:
    """Return texts without nulls as NumPy numbers; ``storage`` is the width of a type that NumPy has no number for."""
    try:
        values = texts.view(pa.string()).cast(to)
    except pa.ArrowInvalid:
        raise Unserved from None
    return values.to_numpy() if storage is None else values.view(pa.from_numpy_dtype(storage)).to_numpy()


def dense(texts: pa.BinaryArray) -> tuple[np.ndarray[Any, np.dtype[np.int32]], Bytes]:
    """Return where values without nulls begin and end in their bytes, and these."""
    offsets = offsets_of(texts)
    return offsets - offsets[0], data_of(texts)


def all_lengths(texts: pa.BinaryArray, least: int, most: int | None) -> bool:
    """Whether no value is shorter or longer; None: any length will do."""
    lengths = lengths_of(texts)
    if not len(lengths):
        return True
    return bool(lengths.min() >= least and (most is None or lengths.max() <= most))


def are_numerals(data: Bytes) -> bool:
    """Whether there are digits and minus signs only; Arrow sees to the signs' places, but knows hexadecimal too."""
    return bool(((data - np.uint8(ord("0")) < 10) | (data == ord("-"))).all())


_IN_FLOATS: Final = np.isin(np.arange(256), np.frombuffer(b"0123456789-.e+", np.uint8))
