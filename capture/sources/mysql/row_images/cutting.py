"""The events of one table split into rows, many events at once: what :mod:`.splitting` does one by one. Pure.

Where a row ends is only known once it was walked, but one vector of positions, an entry for each event, walks a row of
each event at a time. An event that does not end with a row, or has many more rows than the others, is left to the
function for one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from capture.sources.mysql.row_images.rows import RowsError
from capture.sources.mysql.row_images.splitting import splitter, way
from capture.sources.mysql.row_images.stretches import Slice, Stretch
from capture.sources.mysql.row_images.wire import fixed_size, length_size
from schemas.block import Op

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from capture.sources.mysql.row_images.rows import RowEvent
    from capture.sources.mysql.row_images.table_map import TableMap
    from capture.sources.mysql.row_images.wire import Wire
    from schemas.columnar.arrays import Bytes, Ints

    #: What comes of an event: its rows, or why they cannot be told.
    Cut = Slice | list[bytes] | RowsError

#: Fewer events are split sooner one by one.
_FEWEST: Final = 32
#: Bytes behind the last event, so that eight may be read anywhere; a bitmap of nulls comes on top.
_PADDING: Final = bytes(8)


def cutter(wires: Sequence[Wire]) -> Callable[[Sequence[RowEvent]], list[Cut]]:
    """Return what splits a table's events: for each its rows, or the RowsError that the function for one raises."""
    split = splitter(wires)
    walker = _Walker(wires)

    def alone(event: RowEvent) -> Cut:
        try:
            return split(event)
        except RowsError as error:
            return error

    def cut(events: Sequence[RowEvent]) -> list[Cut]:
        served = [event.width == len(wires) and event.complete and not event.partial for event in events]
        if len(events) < _FEWEST or not all(served):
            return [alone(event) for event in events]
        return [
            alone(event) if rows is None else rows for event, rows in zip(events, _slices(walker, events), strict=True)
        ]

    return cut


def least_size(table: TableMap) -> int:
    """Return how many bytes an image of this table has at least."""
    columns = zip(table.wires, table.columns, strict=True)
    sizes = [fixed_size(wire) or length_size(wire) for wire, column in columns if not column.nullable]
    return (len(table.wires) + 7) // 8 + sum(sizes)


def _slices(walker: _Walker, events: Sequence[RowEvent]) -> Iterator[Slice | None]:
    """Yield the rows of each event; None for an event that is to be split alone."""
    raw = b"".join([*(event.images for event in events), bytes(walker.nulls_size), _PADDING])
    sizes = np.fromiter((len(event.images) for event in events), np.int64, len(events))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    try:
        which, stops = walker.walk(raw, starts, ends)
    except IndexError:
        yield from [None] * len(events)
        return
    update = np.fromiter((event.op is Op.UPDATE for event in events), np.bool_, len(events))
    images = np.bincount(which, minlength=len(events))
    behind = np.cumsum(images)
    reached = np.where(images > 0, np.append(stops, 0)[behind - 1], starts)
    served = (reached == ends) & ~(update & (images % 2 == 1))
    second = (np.arange(len(which)) - (behind - images)[which]) % 2 == 1
    row = second | ~update[which]  # an update's new image ends its row
    which, stops = which[row], stops[row]
    begins = np.empty(len(stops), np.int64)
    begins[1:] = stops[:-1]
    counts = np.bincount(which, minlength=len(events))
    lasts = np.cumsum(counts)
    begins[(lasts - counts)[counts > 0]] = starts[counts > 0]
    letters = np.frombuffer(b"".join([event.op.value.encode() for event in events]), np.uint8)[which]
    stretch = Stretch(raw, letters, begins, stops)
    for end, count, whole in zip(lasts.tolist(), counts.tolist(), served.tolist(), strict=True):
        yield Slice(stretch, end - count, end) if whole else None


class _Walker:
    """Walks the images of a table, each of which begins with ``nulls_size`` bytes that tell which columns are null."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._sizes = [(fixed_size(wire), length_size(wire)) for wire in wires]
        self.nulls_size = (len(wires) + 7) // 8

    def walk(self, raw: bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Return the ends of images, event by event, and the events that they belong to; raises IndexError."""
        data = np.frombuffer(raw, np.uint8)
        words = np.ndarray((len(raw) - 7,), "<u8", raw, strides=(1,))
        going = np.flatnonzero(starts < ends)
        which, stops = [going[:0]], [going[:0]]
        at, ends = starts[going], ends[going]
        while len(going) >= _FEWEST:
            at = self._past(data, words, at)
            which.append(going)
            stops.append(at)
            left = at < ends
            if not left.all():
                going, at, ends = going[left], at[left], ends[left]
        events = np.concatenate(which)
        order = np.argsort(events, kind="stable")
        return events[order], np.concatenate(stops)[order]

    def _past(self, data: Bytes, words: Any, at: Ints) -> Ints:
        """Return where images end; raises IndexError where bytes that are no image lead beyond the data."""
        bits = data[at[:, None] + np.arange(self.nulls_size)]
        at = at + self.nulls_size
        if (bits == bits[0]).all():
            steps, rest = way(self._sizes, int.from_bytes(bits[0].tobytes(), "little"))
            for before, lengths in steps:
                at += before
                at += _length(data, words, at, lengths)
            return at + rest
        nulls = np.unpackbits(bits, axis=1, bitorder="little").view(np.bool_)
        for i, (size, lengths) in enumerate(self._sizes):
            step = _length(data, words, at, lengths) if size is None else size
            at += np.where(nulls[:, i], 0, step)
        return at


def _length(data: Bytes, words: Any, at: Ints, size: int) -> Ints:
    """Return the lengths that stand here in ``size`` bytes, and these."""
    if size == 1:
        return data[at].astype(np.int64) + 1
    lengths: Ints = (words[at] & np.uint64((1 << 8 * size) - 1)).view(np.int64)
    return lengths + size
