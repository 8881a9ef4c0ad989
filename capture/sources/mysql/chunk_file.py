"""The file of a chunk's rows, read in the stretches in which they came in, and cut into columns.

Values have no offsets, but one vector of positions, an entry for each row, walks all rows of a stretch at once. The
columns hold the very values that :func:`capture.sources.mysql.row_packets.parse` gives row by row.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from capture.sources.mysql.row_packets import HEAD_BYTES, LENGTH_BYTES, NULL, STRETCH_HEAD, Stretch, parse
from schemas.columnar.arrays import MOST_BYTES, Unserved, gather, with_nulls
from schemas.columnar.block import Columns, columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.columnar.arrays import Bytes, Ints, Mask

#: Bytes behind a stretch, so that a length may be read at its end.
_PADDING: Final = 16
_NO_LENGTH: Final = 0xFF


class _Values(NamedTuple):
    """Where a value of each row begins and ends; ``null`` is None where none is."""

    begins: Ints
    ends: Ints
    null: Mask | None


def file_images(path: Path, width: int) -> Iterator[Columns]:
    """Yield the rows of a chunk's file, ``width`` values each, some thousands at a time."""
    memory = np.zeros(0, np.uint8)  # the same for all stretches: fresh pages cost more than to read into them
    with path.open("rb") as file:
        while head := file.read(STRETCH_HEAD.size):
            rows, size = STRETCH_HEAD.unpack(head)
            starts = np.empty(rows, np.uint32)
            file.readinto(starts.data)
            if len(memory) < size + _PADDING:
                memory = np.zeros(size + _PADDING, np.uint8)
            data = memory[: size + _PADDING]
            file.readinto(data[:size].data)
            yield _images(starts, data, width)


def _images(starts: np.ndarray[Any, np.dtype[np.uint32]], data: Bytes, width: int) -> Columns:
    try:
        return _cut(starts.astype(np.int64), data, width)
    except Unserved:
        stretch = Stretch(array("I", starts.tobytes()), data[:-_PADDING].data)
        return columns([parse(row) for row in stretch.rows()])


def _cut(starts: Ints, data: Bytes, width: int) -> Columns:
    """Return the columns of rows that begin there; raises Unserved for what is not rows of that width."""
    if len(data) > MOST_BYTES:
        raise Unserved
    limits = np.append(starts[1:] - HEAD_BYTES, len(data) - _PADDING)
    at, values = starts, []
    for _ in range(width):
        found = _values(data, at)
        at = found.ends
        if (at > limits).any():
            raise Unserved
        values.append(with_nulls(gather(data, found.begins, at), found.null))
    if (at != limits).any():
        raise Unserved
    return Columns(len(starts), tuple(values), (None,) * width)


def _values(data: Bytes, at: Ints) -> _Values:
    """Return where the values lie whose lengths stand there."""
    first = data[at]
    begins = at + 1
    if int(first.max(initial=0)) < NULL:
        return _Values(begins, begins + first, None)
    null = first == NULL
    lengths = np.where(null, 0, first.astype(np.int64))
    for mark, width in LENGTH_BYTES.items():
        which = np.flatnonzero(first == mark)
        lengths[which] = _numbers(data, begins[which], width)
        begins[which] += width
    ends = begins + lengths
    if (ends < begins).any() or (first == _NO_LENGTH).any():
        raise Unserved
    return _Values(begins, ends, null)


def _numbers(data: Bytes, at: Ints, width: int) -> Ints:
    """Return numbers of ``width`` bytes, the lowest first."""
    numbers = np.zeros((len(at), 8), np.uint8)
    numbers[:, :width] = data[at[:, None] + np.arange(width)]
    return numbers.view("<i8")[:, 0]
