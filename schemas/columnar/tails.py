"""What events say beside their row images, by column: what :mod:`schemas.columnar.tail` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from schemas.columnar.arrays import Bytes, Ints, Mask


class Lists(NamedTuple):
    """Names of columns by event: ``which`` indexes into ``names``, -1 for no list."""

    names: list[tuple[str, ...]]
    which: Ints

    @classmethod
    def same(cls, names: tuple[str, ...] | None, count: int) -> Lists:
        """Return one list, or none, for all of so many events."""
        return cls([] if names is None else [names], np.full(count, -1 if names is None else 0, np.int64))


class Tail(NamedTuple):
    """What was read. ``odd`` are events with verbatim values: they were not read to their end."""

    ops: npt.NDArray[np.uint8]
    origins: Ints
    committed_us: Ints
    orders: Bytes
    last: Mask
    key_change: Mask
    unavailable: Lists
    unavailable_before: Lists
    odd: Mask


def merged(count: int, parts: Sequence[tuple[Ints, Tail]]) -> Tail:
    """Return the tails of so many events, given those of some places each; together they are all places."""
    columns = zip(*(tail for _, tail in parts), strict=True)
    places = [one for one, _ in parts]
    return Tail(*(_merged(count, places, list(column)) for column in columns))


def _merged(count: int, places: list[Ints], column: list[Any]) -> Any:
    if isinstance(column[0], Lists):
        return _merged_lists(count, places, column)
    whole = np.empty((count, *column[0].shape[1:]), column[0].dtype)
    for where, values in zip(places, column, strict=True):
        whole[where] = values
    return whole


def _merged_lists(count: int, places: list[Ints], lists: list[Lists]) -> Lists:
    names: list[tuple[str, ...]] = []
    which = np.full(count, -1, np.int64)
    for where, one in zip(places, lists, strict=True):
        which[where] = np.where(one.which < 0, -1, one.which + len(names))
        names += one.names
    return Lists(names, which)
