"""Row events split into rows, whose values nobody looks at yet: they are read later, many rows at once. Pure.

A row is the letter of its operation and its image, or for an update its old image and its new one, as they were logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from capture.sources.mysql.row_images.json_binary import JsonError
from capture.sources.mysql.row_images.json_differences import applied
from capture.sources.mysql.row_images.rows import RowsError
from capture.sources.mysql.row_images.wire import WireType, fixed_size, length_size
from schemas.block import Op

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capture.sources.mysql.row_images.rows import RowEvent
    from capture.sources.mysql.row_images.wire import Wire

#: How to get over the values of an image: for each that has a length, the bytes before it and those of the length; and
#: the bytes behind the last of them.
Way = tuple[list[tuple[int, int]], int]

#: Sets of null columns whose way is remembered; rows of real tables have few.
_REMEMBERED: Final = 1_000
#: The option of a new image that JSON values may be differences to the old ones.
_PARTIAL_JSON: Final = 1


class PartialValue(RowsError):
    """A new value that the log has as its differences from the old one, which do not fit that."""


def splitter(wires: Sequence[Wire]) -> Callable[[RowEvent], list[bytes]]:
    """Return what splits a table's events; it raises RowsError for an event that does not hold whole rows."""
    sizes = [(fixed_size(wire), length_size(wire)) for wire in wires]
    nulls_size = (len(wires) + 7) // 8
    ways: dict[bytes, Way] = {}

    def end(images: bytes, at: int) -> int:
        nulls = images[at : at + nulls_size]
        found = ways.get(nulls)
        if found is None:
            if len(ways) >= _REMEMBERED:
                ways.clear()
            found = ways[nulls] = way(sizes, int.from_bytes(nulls, "little"))
        at += nulls_size
        steps, rest = found
        for before, lengths in steps:
            at += before
            if lengths == 1:
                at += 1 + images[at]
            elif lengths == 2:
                at += 2 + images[at] + (images[at + 1] << 8)
            else:
                at += lengths + int.from_bytes(images[at : at + lengths], "little")
        return at + rest

    documents = [i for i, wire in enumerate(wires) if wire.type is WireType.JSON]

    def split(event: RowEvent) -> list[bytes]:
        if event.width != len(sizes) or not event.complete:
            raise RowsError("a row event without all columns of its table")
        try:
            return _split_partial(event, end, sizes, documents) if event.partial else _split(event, end)
        except IndexError:
            raise RowsError("a row image that does not end with its event") from None

    return split


def _split(event: RowEvent, end: Callable[[bytes, int], int]) -> list[bytes]:
    letter, images, size = event.op.value.encode(), event.images, len(event.images)
    update = event.op is Op.UPDATE
    rows, at = [], 0
    while at < size:
        stop = end(images, at)
        if update:
            stop = end(images, stop)
        rows.append(letter + images[at:stop])
        at = stop
    if at != size:
        raise IndexError
    return rows


def _split_partial(
    event: RowEvent,
    end: Callable[[bytes, int], int],
    sizes: list[tuple[int | None, int]],
    documents: list[int],
) -> list[bytes]:
    """Split updates whose new images begin with which JSON values are differences from the old ones."""
    letter, images, size = event.op.value.encode(), event.images, len(event.images)
    bits_size = (len(documents) + 7) // 8
    rows, at = [], 0
    while at < size:
        after = end(images, at)
        old, partial = images[at:after], 0
        options, after = images[after], after + 1
        if options & _PARTIAL_JSON:
            partial, after = int.from_bytes(images[after : after + bits_size], "little"), after + bits_size
        at = end(images, after)
        new = images[after:at]
        if partial:
            new = _restored(old, new, sizes, [i for place, i in enumerate(documents) if partial >> place & 1])
        rows.append(letter + old + new)
    if at != size:
        raise IndexError
    return rows


def _restored(old: bytes, new: bytes, sizes: list[tuple[int | None, int]], partial: list[int]) -> bytes:
    """Return the new image with whole values in these columns; raises PartialValue where the old ones do not fit."""
    before, cells = _cells(old, sizes), _cells(new, sizes)
    for i in partial:
        lengths = sizes[i][1]
        differences = cells[i][lengths:]
        cells[i] = before[i]
        if differences:
            try:
                value = applied(before[i][lengths:], differences)
            except JsonError as error:
                raise PartialValue(str(error)) from None
            cells[i] = len(value).to_bytes(lengths, "little") + value
    return new[: (len(sizes) + 7) // 8] + b"".join(cells)


def _cells(image: bytes, sizes: list[tuple[int | None, int]]) -> list[bytes]:
    """Return the values of an image as they stand there, with their lengths; nothing for a null."""
    at = (len(sizes) + 7) // 8
    nulls = int.from_bytes(image[:at], "little")
    cells = []
    for i, (size, lengths) in enumerate(sizes):
        start = at
        if not nulls >> i & 1:
            at += lengths + int.from_bytes(image[at : at + lengths], "little") if size is None else size
        cells.append(image[start:at])
    return cells


def way(sizes: list[tuple[int | None, int]], nulls: int) -> Way:
    """Return how to get over an image whose bitmap of nulls is this number, by the sizes of its columns."""
    steps, fixed = [], 0
    for i, (size, lengths) in enumerate(sizes):
        if nulls >> i & 1:
            continue
        if size is None:
            steps.append((fixed, lengths))
            fixed = 0
        else:
            fixed += size
    return steps, fixed
