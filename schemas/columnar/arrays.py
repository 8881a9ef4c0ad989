"""Between Arrow's binary arrays and NumPy: offsets, null masks, gathering. Nothing here copies more than it returns.

Arrow columnar format, "Variable-size Binary Layout": int32 offsets into one buffer of bytes, and a validity bitmap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: Most bytes in one array: its offsets have 31 bits; some are left for what stands in for nulls.
MOST_BYTES: Final = (1 << 31) - (1 << 26)


class Unserved(Exception):
    """These rows cannot be done in columns; the reference does them, or says what is wrong with them."""


def binary(offsets: Offsets, data: object) -> pa.BinaryArray:
    """Return the array of ``data`` cut at ``offsets``; no value is null."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers, null_count=0)


def fixed(matrix: Bytes) -> pa.BinaryArray:
    """Return the rows of a matrix of bytes as values."""
    count, width = matrix.shape
    return binary(np.arange(count + 1, dtype=np.int32) * np.int32(width), np.ascontiguousarray(matrix))


def ragged(matrix: Bytes, lengths: Ints) -> pa.BinaryArray:
    """Return the first ``lengths[i]`` bytes of row i as value i."""
    count, width = matrix.shape
    shortest, longest = (int(lengths.min()), int(lengths.max())) if count else (0, 0)
    if shortest == longest:
        return fixed(matrix[:, :longest])
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return binary(offsets, matrix[np.arange(width, dtype=lengths.dtype) < lengths[:, None]])


def constants(values: list[bytes]) -> pa.BinaryArray:
    """Return a table of values to take from."""
    return pa.array(values, pa.binary())


def take(table: pa.BinaryArray, indexes: npt.NDArray[Any]) -> pa.BinaryArray:
    """Return ``table[i]`` for each index, which must be one of its places."""
    return pc.call_function("array_take", [table, pa.array(indexes)], _TAKE)


def take_or_null(table: pa.BinaryArray, indexes: Ints) -> pa.BinaryArray:
    """Return ``table[i]`` for each index, null where the index is negative."""
    missing = indexes < 0
    if not missing.any():
        return take(table, indexes)
    return pc.call_function("array_take", [table, pa.array(indexes, mask=missing)], _TAKE)


def concatenate(arrays: list[pa.BinaryArray]) -> pa.BinaryArray:
    """Return arrays one after the other; raises Unserved when they do not fit into one."""
    filled = [array for array in arrays if len(array)]
    if sum(array.nbytes for array in filled) > MOST_BYTES:
        raise Unserved
    if len(filled) == 1:
        return filled[0]
    return pa.concat_arrays(filled) if filled else pa.array([], pa.binary())


def gather(data: object, starts: npt.NDArray[Any], ends: npt.NDArray[Any]) -> pa.BinaryArray:
    """Return ``data[starts[i]:ends[i]]`` for each i, copied once. Ranges rise and do not overlap.

    The ranges and the gaps between them are one array already; only every second value of it is taken.
    """
    count = len(starts)
    if not count:
        return pa.array([], pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2] = starts
    offsets[1::2] = ends
    between = binary(offsets, data)
    return take(between, np.arange(0, 2 * count - 1, 2, dtype=np.int32))


def offsets_of(array: pa.BinaryArray) -> Offsets:
    """Return the offsets of an array's values, one more than there are values."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32, len(array) + 1, array.offset * 4)


def data_of(array: pa.BinaryArray) -> Bytes:
    """Return the bytes of an array's values, one after the other; offsets count from the first of them."""
    offsets, buffer = offsets_of(array), array.buffers()[2]
    if buffer is None or offsets[0] == offsets[-1]:
        return np.zeros(0, np.uint8)
    return np.frombuffer(buffer, np.uint8, int(offsets[-1] - offsets[0]), int(offsets[0]))


def lengths_of(array: pa.BinaryArray) -> Offsets:
    """Return the length of each value in bytes; that of a null is of no meaning."""
    offsets = offsets_of(array)
    return offsets[1:] - offsets[:-1]


def nulls_of(array: pa.Array) -> Mask | None:
    """Return which values are null; None where none is."""
    if not array.null_count:
        return None
    return pc.is_null(array).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has no types


def with_nulls(array: pa.BinaryArray, null: Mask | None) -> pa.BinaryArray:
    """Return a whole array without nulls (no slice of one) with some of its values made null."""
    if null is None or not null.any():
        return array
    validity = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.Array.from_buffers(array.type, len(array), [validity, *array.buffers()[1:]])


def join(pieces: list[pa.BinaryArray | bytes], null: bytes = b"") -> pa.BinaryArray:
    """Return, for each row, the bytes of all pieces one after the other. Constants are given as bytes.

    ``null`` stands in for a value that is null. Raises Unserved when the result does not fit into one array.
    """
    merged: list[pa.BinaryArray | bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        elif not isinstance(piece, bytes) or piece:
            merged.append(piece)
    if not any(isinstance(piece, pa.Array) for piece in merged):
        raise AssertionError("only constants tell nothing of the number of rows")
    size = sum(len(p) if isinstance(p, bytes) else 0 for p in merged) * _count(merged)
    if size + sum(p.nbytes for p in merged if not isinstance(p, bytes)) > MOST_BYTES:
        raise Unserved
    parts = [pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in merged]
    return pc.binary_join_element_wise(*parts, _NOTHING, null_handling="replace", null_replacement=null.decode())


def lines(columns: Sequence[pa.BinaryArray], separator: bytes, end: bytes, null: bytes) -> pa.BinaryArray:
    """Return, for each row, the values of all columns with a separator between them, and an end behind the last.

    One or two passes: to give the separator as a piece for each column would take Arrow twice as long. ``null`` stands
    in for a value that is null. Raises Unserved when the result does not fit into one array.
    """
    *others, last = columns
    ended = join([last, end], null)
    if not others:
        return ended
    if sum(column.nbytes for column in (*others, ended)) + len(separator) * len(others) * len(ended) > MOST_BYTES:
        raise Unserved
    between = pa.scalar(separator, pa.binary())
    return pc.binary_join_element_wise(*others, ended, between, null_handling="replace", null_replacement=null.decode())


def _count(pieces: list[pa.BinaryArray | bytes]) -> int:
    return next(len(piece) for piece in pieces if not isinstance(piece, bytes))


_TAKE: Final = pc.TakeOptions(boundscheck=False)
_NOTHING: Final = pa.scalar(b"", pa.binary())
