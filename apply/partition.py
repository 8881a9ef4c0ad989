"""Events of one topic partition that wait to be applied: replayed ones dropped, cut at end marks. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from schemas.block import Op, Origin
from schemas.received import Received

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Memory that the events of one unfinished transaction may take, about, before they are written as a part.
PART_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Batch:
    """Events for one target transaction, or for one part of a transaction that is too large for memory.

    ``complete``: they end at an end mark, so the transaction may be committed with ``next_offset`` and ``order_key``.
    ``loading``: the table's snapshot is not complete at these events. ``units``: how many source transactions (or
    snapshot rows) end in it. ``size``: their memory in bytes, about.
    """

    received: list[Received]
    next_offset: int
    order_key: bytes | None
    complete: bool
    loading: bool
    units: int
    size: int = 0

    def __len__(self) -> int:
        return sum(map(len, self.received))

    @property
    def committed_us(self) -> int | None:
        """Commit time at the source of the newest event, in microseconds since 1970."""
        return self.received[-1].committed_us[-1] if self.received else None


class Partition:
    """Waiting events in topic order. ``mark`` is the order key of the newest event taken in, applied or not.

    ``loaded`` is the order key at which the table's snapshot is complete, as far as known. ``awaiting``: history is
    missing before what comes, so everything is dropped until a new snapshot opens.
    """

    def __init__(self, next_offset: int, mark: bytes | None, *, awaiting: bool = False) -> None:
        self.loaded: bytes | None = None
        self._opened_at = b""
        self.awaiting = awaiting
        self.rewind(next_offset, mark)

    def rewind(self, next_offset: int, mark: bytes | None) -> None:
        """Forget what waits: the topic is read again from an offset above which nothing was applied."""
        self.position, self.saved, self.mark = next_offset, next_offset, mark or b""
        self.bytes = 0
        self._waiting: list[Received] = []
        self._unfinished = False

    def __len__(self) -> int:
        """Count the events that wait."""
        return sum(map(len, self._waiting))

    def note_loaded(self, order: bytes | None) -> None:
        """Capture says that the snapshot is complete at this order key (None: it is not).

        What it said of a snapshot before the one that opened meanwhile no longer holds.
        """
        self.loaded = order if order is not None and order >= self._opened_at else None

    def is_loading(self, order: bytes | None) -> bool:
        """Whether the table's snapshot is not complete at this order key."""
        return self.loaded is None or order is None or order < self.loaded

    def add(self, received: Received, size: int) -> None:
        """Take in events; those not above the mark were published before and are dropped (rule 19).

        ``size`` is what they take in memory, in bytes, about.
        """
        fresh = self._from_opening(self._above_mark(received))
        if len(fresh):
            self.mark = fresh.orders[-1]
            self._waiting.append(fresh)
            self.bytes += size

    def reach(self, position: int) -> None:
        """Everything below this offset was taken in."""
        self.position = max(self.position, position)

    def take(self, limit: int, *, spill: bool = False) -> Batch | None:
        """Take out the events for a commit, about ``limit`` at most, or None when there is nothing to do.

        A batch holds at least one whole unit. When more than ``limit`` events (or PART_BYTES) wait without an end mark
        among them, or with ``spill`` any, it is the next part of a transaction: not complete. A batch without events
        only moves the checkpoint.
        """
        count, units = self._ready(limit)
        if count:
            return self._cut(count, units)
        if len(self) > limit or self.bytes > PART_BYTES or (spill and self._waiting):
            return self._cut(len(self), 0)
        idle = not self._waiting and not self._unfinished and not self.awaiting
        if idle and self.position > self.saved:
            return Batch([], self.position, self.mark or None, complete=True, loading=False, units=0)
        return None

    def put_back(self, batch: Batch) -> None:
        """Let a batch that was not applied wait again, before all others."""
        self._waiting = batch.received + self._waiting
        self.bytes += batch.size

    def _cut(self, count: int, units: int) -> Batch:
        loading = self.loaded is None or self._waiting[0].orders[0] <= self.loaded
        taken, self._waiting = split(self._waiting, count)
        next_offset = self._waiting[0].offsets[0] if self._waiting else self.position
        self._unfinished = units == 0
        size = self.bytes * count // (len(self) + count)
        self.bytes -= size
        return Batch(taken, next_offset, taken[-1].orders[-1], units > 0, loading, units, size)

    def _ready(self, limit: int) -> tuple[int, int]:
        """Return how many events go up to the last end mark within the limit (or the first one), and the marks."""
        bound = self._before_loaded()
        count = units = seen = 0
        for received in self._waiting:
            # Most blocks of a large transaction hold no mark at all: they are not looked at one by one.
            for i, last in enumerate(received.last if True in received.last else ()):
                if seen + i >= bound or (units and seen + i >= limit):
                    return count, units
                if last:
                    count, units = seen + i + 1, units + 1
            seen += len(received)
        return count, units

    def _before_loaded(self) -> int:
        """Return how many events may share a batch: those that complete the snapshot do not mix with later ones."""
        if self.loaded is None or not self._waiting or self._waiting[0].orders[0] > self.loaded:
            return len(self)
        return sum(bisect_right(received.orders, self.loaded) for received in self._waiting)

    def _above_mark(self, received: Received) -> Received:
        """Return the events whose order key is above those of all before them."""
        mark, kept = self.mark, []
        for i, order in enumerate(received.orders):
            if order > mark:
                mark = order
                kept.append(i)
        return received if len(kept) == len(received) else chosen(received, kept)

    def _from_opening(self, received: Received) -> Received:
        """Take note of a snapshot that opens; while one is awaited, return the events from there on."""
        opening = _opening(received)
        if opening is None:
            return chosen(received, ()) if self.awaiting else received
        self._opened_at = received.orders[opening]
        self.note_loaded(self.loaded)
        if not self.awaiting:
            return received
        self.awaiting = False
        return chosen(received, range(opening, len(received)))


def _opening(received: Received) -> int | None:
    """Return the place of the last truncate that opens a snapshot."""
    if Origin.OPENING not in received.origins:
        return None
    places = (i for i, op in enumerate(received.ops) if op is Op.TRUNCATE and received.origins[i] is Origin.OPENING)
    return max(places, default=None)


_LISTS = tuple(field.name for field in fields(Received) if field.name != "table")


def chosen(received: Received, indexes: Iterable[int]) -> Received:
    """Return the events at these indexes."""
    wanted = list(indexes)
    lists = {name: [values[i] for i in wanted] for name in _LISTS for values in [getattr(received, name)]}
    return Received(received.table, **lists)


def split(received: list[Received], count: int) -> tuple[list[Received], list[Received]]:
    """Return the first ``count`` events and the rest."""
    for i, one in enumerate(received):
        if count < len(one):
            first = [*received[:i], _slice(one, 0, count)] if count else received[:i]
            return first, [_slice(one, count, len(one)), *received[i + 1 :]]
        count -= len(one)
    return received, []


def _slice(received: Received, start: int, stop: int) -> Received:
    return Received(received.table, **{name: getattr(received, name)[start:stop] for name in _LISTS})
