"""Events of one topic partition that wait to be applied: replayed ones dropped, cut at end marks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from apply.waiting import above, chosen, end_marks, opening, order_at, split, up_to

if TYPE_CHECKING:
    from schemas.columnar.received import AnyReceived

#: Memory that the events of one batch may take, about: rows of many kilobytes make batches of fewer rows.
BATCH_BYTES: Final = 64 * 1024 * 1024
#: Memory that the events of one unfinished transaction may take, about, before they are written as a part.
PART_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True)
class Batch:
    """Events for one target transaction, or for one part of a transaction that is too large for memory.

    ``complete``: they end at an end mark, so the transaction may be committed with ``next_offset`` and ``order_key``.
    ``loading``: the table's snapshot is not complete at these events. ``units``: how many source transactions (or
    snapshot rows) end in it. ``size``: their memory in bytes, about.
    """

    received: list[AnyReceived]
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
        return int(self.received[-1].committed_us[-1]) if self.received else None


class Partition:
    """Waiting events in topic order. ``mark`` is the order key of the newest event taken in, applied or not.

    ``loaded`` is the order key at which the table's snapshot is complete, as far as known. ``awaiting``: history is
    missing before what comes, so everything is dropped until a new snapshot opens. ``rewinds`` counts how often what
    waited was forgotten.
    """

    def __init__(self, next_offset: int, mark: bytes | None, *, awaiting: bool = False) -> None:
        self.loaded: bytes | None = None
        self._opened_at = b""
        self.awaiting = awaiting
        self.rewinds = 0
        self.rewind(next_offset, mark)

    def rewind(self, next_offset: int, mark: bytes | None) -> None:
        """Forget what waits: the topic is read again from an offset above which nothing was applied."""
        self.position, self.saved, self.mark = next_offset, next_offset, mark or b""
        self.rewinds += 1
        self.bytes = 0
        self._waiting: list[AnyReceived] = []
        self._unfinished = False

    def __len__(self) -> int:
        """Count the events that wait."""
        return sum(map(len, self._waiting))

    @property
    def at_rest(self) -> bool:
        """Whether :meth:`take` has nothing to give: nothing waits, and the checkpoint stands where reading does."""
        return not self._waiting and self.position <= self.saved

    def note_loaded(self, order: bytes | None) -> None:
        """Capture says that the snapshot is complete at this order key (None: it is not).

        What it said of a snapshot before the one that opened meanwhile no longer holds.
        """
        self.loaded = order if order is not None and order >= self._opened_at else None

    def is_loading(self, order: bytes | None) -> bool:
        """Whether the table's snapshot is not complete at this order key."""
        return self.loaded is None or order is None or order < self.loaded

    def add(self, received: AnyReceived, size: int) -> None:
        """Take in events; those not above the mark were published before and are dropped (rule 19).

        ``size`` is what they take in memory, in bytes, about.
        """
        fresh = self._from_opening(above(received, self.mark))
        if len(fresh):
            self.mark = order_at(fresh, -1)
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
        if self.bytes > BATCH_BYTES:
            limit = max(1, min(limit, len(self) * BATCH_BYTES // self.bytes))
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
        loading = self.loaded is None or order_at(self._waiting[0], 0) <= self.loaded
        taken, self._waiting = split(self._waiting, count)
        next_offset = int(self._waiting[0].offsets[0]) if self._waiting else self.position
        self._unfinished = units == 0
        size = self.bytes * count // (len(self) + count)
        self.bytes -= size
        return Batch(taken, next_offset, order_at(taken[-1], -1), units > 0, loading, units, size)

    def _ready(self, limit: int) -> tuple[int, int]:
        """Return how many events go up to the last end mark within the limit (or the first one), and the marks."""
        bound = self._before_loaded()
        count = units = seen = 0
        for received in self._waiting:
            marks = end_marks(received)
            within = int(np.searchsorted(marks, min(bound, limit) - seen))
            if within:
                count, units = seen + int(marks[within - 1]) + 1, units + within
            if within < len(marks):
                first = seen + int(marks[within]) + 1
                return (first, 1) if not units and first <= bound else (count, units)
            seen += len(received)
        return count, units

    def _before_loaded(self) -> int:
        """Return how many events may share a batch: those that complete the snapshot do not mix with later ones."""
        if self.loaded is None or not self._waiting or order_at(self._waiting[0], 0) > self.loaded:
            return len(self)
        return sum(up_to(received, self.loaded) for received in self._waiting)

    def _from_opening(self, received: AnyReceived) -> AnyReceived:
        """Take note of a snapshot that opens; while one is awaited, return the events from there on."""
        place = opening(received)
        if place is None:
            return chosen(received, ()) if self.awaiting else received
        self._opened_at = order_at(received, place)
        self.note_loaded(self.loaded)
        if not self.awaiting:
            return received
        self.awaiting = False
        return chosen(received, range(place, len(received)))
