"""Typed columns -> Avro bytes, each value with the byte of its union's branch before it.

Source: Apache Avro specification, "Binary Encoding". A column becomes one or two *pieces*: arrays of which the bytes
of one row stand side by side in the result of :func:`schemas.columnar.arrays.join`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.binary import write_long
from schemas.columnar.arrays import Bytes, Ints, Mask, constants, fixed, gather, lengths_of, nulls_of, ragged, take
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts, Typed, Written

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Words = npt.NDArray[np.uint64]

#: Bytes of a word, in which integers are put together.
_WORD: Final = 8
#: How 56 bits are spread over eight bytes, seven in each: the lower half of 56, 28 and 14 bits stays, the higher moves.
_SPREADS: Final = tuple(
    (np.uint64(low), np.uint64(high), np.uint64(shift))
    for low, high, shift in (
        (0x000000000FFFFFFF, 0x00FFFFFFF0000000, 4),
        (0x00003FFF00003FFF, 0x0FFFC0000FFFC000, 2),
        (0x007F007F007F007F, 0x3F803F803F803F80, 1),
    )
)
#: By the number of its bytes: the bits that say that an integer goes on, in all bytes but the last.
_GO_ON: Final = np.array([0, *(0x8080808080808080 >> 8 * (9 - size) for size in range(1, 9))], np.uint64)
#: Lengths below this have their bytes in a table; longer ones are worked out.
_TABLE: Final = 8_192


class Branch(NamedTuple):
    """The bytes before a value and in place of a null; both empty where a type is no union (in keys)."""

    value: bytes
    null: bytes


def write(column: Typed, branch: Branch) -> list[pa.BinaryArray]:
    """Return a column's pieces."""
    match column:
        case Longs(values, null):
            return [write_longs(values, null, branch)]
        case Texts(values):
            return [_write_lengths(lengths_of(values), nulls_of(values), branch), values]
        case Booleans(values, null):
            index = values.astype(np.int8) if null is None else np.where(null, 2, values).astype(np.int8)
            return [take(_booleans(branch), index)]
        case Floats(values, null):
            return [_write_floats(values, null, branch)]
        case Decimals(scales, unscaled):
            null = nulls_of(unscaled)
            heads = write_longs(scales, null, branch)
            return [heads, _write_lengths(lengths_of(unscaled), null, Branch(b"", b"")), unscaled]
        case Written(values):
            null = nulls_of(values)
            return [
                take(_heads(branch), np.zeros(len(values), np.int8) if null is None else null.view(np.int8)),
                values,
            ]


def write_longs(values: Ints, null: Mask | None, branch: Branch) -> pa.BinaryArray:
    """Return integers zig-zag and variable length, seven bits a byte, the lowest first."""
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    if null is not None:
        zigzag = np.where(null, np.uint64(0), zigzag)
    most, lead = int(zigzag.max(initial=0)), len(branch.value)
    if most < 2 * _TABLE:
        return take(_small_longs(branch), zigzag if null is None else np.where(null, np.uint64(2 * _TABLE), zigzag))
    longest = (most.bit_length() + 6) // 7
    if lead + longest <= _WORD:
        return _write_words(zigzag, longest, null, branch)
    rows = np.empty((lead + longest, len(values)), np.uint8)  # a byte of all rows side by side: written fast
    rows[:lead] = np.frombuffer(branch.value, np.uint8)[:, None]
    lengths = np.full(len(values), lead + 1, np.int64)
    for i in range(longest):
        more = zigzag > 0x7F
        rows[lead + i] = zigzag.astype(np.uint8) & 0x7F | more.view(np.uint8) << 7
        lengths += more
        zigzag >>= np.uint64(7)
    return ragged(*_with_null(rows.T, lengths, null, branch))


def _write_words(zigzag: Words, longest: int, null: Mask | None, branch: Branch) -> pa.BinaryArray:
    """Return integers that need eight bytes at most, branch included: each is put together in a word of its own."""
    lengths = np.ones(len(zigzag), np.int32)
    for i in range(1, longest):
        lengths += zigzag >= np.uint64(1 << 7 * i)
    words = zigzag
    for low, high, shift in _SPREADS:
        words = words & low | (words & high) << shift
    words |= _GO_ON[lengths]
    lead = len(branch.value)
    if lead:
        words = words << np.uint64(8 * lead) | np.uint64(int.from_bytes(branch.value, "little"))
        lengths += np.int32(lead)
    if null is not None:
        words = np.where(null, np.uint64(int.from_bytes(branch.null, "little")), words)
        lengths = np.where(null, np.int32(len(branch.null)), lengths)
    starts = np.arange(0, _WORD * len(words), _WORD, dtype=np.int32)
    return gather(words.astype("<u8", copy=False), starts, starts + lengths)


def _with_null(rows: Bytes, lengths: Ints, null: Mask | None, branch: Branch) -> tuple[Bytes, Ints]:
    """Put the null branch in place of the values that are null; values are as long as it or longer."""
    if null is not None and null.any():
        rows[null, : len(branch.null)] = np.frombuffer(branch.null, np.uint8)
        lengths = np.where(null, len(branch.null), lengths)
    return rows, lengths


def _write_floats(values: np.ndarray, null: Mask | None, branch: Branch) -> pa.BinaryArray:
    lead, size = len(branch.value), values.dtype.itemsize
    rows = np.empty((len(values), lead + size), np.uint8)
    rows[:, :lead] = np.frombuffer(branch.value, np.uint8)
    rows[:, lead:] = values.astype(values.dtype.newbyteorder("<"), copy=False).view(np.uint8).reshape(-1, size)
    if null is None:
        return fixed(rows)
    return ragged(*_with_null(rows, np.full(len(values), lead + size, np.int64), null, branch))


def _write_lengths(lengths: np.ndarray, null: Mask | None, branch: Branch) -> pa.BinaryArray:
    """Return what stands before values of these lengths."""
    index = lengths if null is None else np.where(null, -1, lengths)
    if int(index.max(initial=0)) < _TABLE:
        return take(_lengths(branch), index + np.int32(1))
    return write_longs(lengths.astype(np.int64), null, branch)


@lru_cache(64)
def _lengths(branch: Branch) -> pa.BinaryArray:
    """Return null's bytes, then the bytes before values of length 0, 1, 2 and so on."""
    return constants([branch.null, *(branch.value + write_long(i) for i in range(_TABLE))])


@lru_cache(64)
def _small_longs(branch: Branch) -> pa.BinaryArray:
    """Return the bytes of integers by their zig-zag, then null's."""
    signed = (zigzag >> 1 ^ -(zigzag & 1) for zigzag in range(2 * _TABLE))
    return constants([*(branch.value + write_long(number) for number in signed), branch.null])


@lru_cache(64)
def _booleans(branch: Branch) -> pa.BinaryArray:
    return constants([branch.value + b"\x00", branch.value + b"\x01", branch.null])


@lru_cache(64)
def _heads(branch: Branch) -> pa.BinaryArray:
    return constants([branch.value, branch.null])
