"""What is asked of events that wait, in either form: one by one, or by column. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.block import Op, Origin
from schemas.columnar.received import ReceivedColumns
from schemas.received import Received

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.columnar.arrays import Ints
    from schemas.columnar.received import AnyReceived

_LISTS: Final = tuple(field.name for field in fields(Received) if field.name != "table")


def order_at(received: AnyReceived, index: int) -> bytes:
    """Return the packed order key of one event."""
    return received.order(index) if isinstance(received, ReceivedColumns) else received.orders[index]


def up_to(received: AnyReceived, order: bytes) -> int:
    """Return how many events, whose order keys rise, have one that is not above ``order``."""
    return received.up_to(order) if isinstance(received, ReceivedColumns) else bisect_right(received.orders, order)


def end_marks(received: AnyReceived) -> Ints:
    """Return the places of the events that end their transaction."""
    return np.flatnonzero(np.asarray(received.last, np.bool_))


def above(received: AnyReceived, mark: bytes) -> AnyReceived:
    """Return the events whose order key is above ``mark`` and above those of all before them."""
    if isinstance(received, ReceivedColumns):
        fresh = received.above(mark)
        return received if fresh is None else received.take(np.flatnonzero(fresh))
    kept = []
    for i, order in enumerate(received.orders):
        if order > mark:
            mark = order
            kept.append(i)
    return received if len(kept) == len(received) else chosen(received, kept)


def opening(received: AnyReceived) -> int | None:
    """Return the place of the last truncate that opens a snapshot."""
    if isinstance(received, ReceivedColumns):
        return received.opening()
    if Origin.OPENING not in received.origins:
        return None
    places = (i for i, op in enumerate(received.ops) if op is Op.TRUNCATE and received.origins[i] is Origin.OPENING)
    return max(places, default=None)


def chosen(received: AnyReceived, indexes: Iterable[int]) -> AnyReceived:
    """Return the events at these indexes, which rise."""
    wanted = list(indexes)
    if isinstance(received, ReceivedColumns):
        return received.take(np.array(wanted, np.int64))
    lists = {name: [values[i] for i in wanted] for name in _LISTS for values in [getattr(received, name)]}
    return Received(received.table, **lists)


def split(received: list[AnyReceived], count: int) -> tuple[list[AnyReceived], list[AnyReceived]]:
    """Return the first ``count`` events and the rest."""
    for i, one in enumerate(received):
        if count < len(one):
            first = [*received[:i], _slice(one, 0, count)] if count else received[:i]
            return first, [_slice(one, count, len(one)), *received[i + 1 :]]
        count -= len(one)
    return received, []


def _slice(received: AnyReceived, start: int, stop: int) -> AnyReceived:
    if isinstance(received, ReceivedColumns):
        return received.take(np.arange(start, stop))
    return Received(received.table, **{name: getattr(received, name)[start:stop] for name in _LISTS})
