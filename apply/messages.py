"""Messages of one topic partition as Kafka gave them, by column: there are very many, and each is looked at little."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Messages:
    """Values at their rising offsets; None is a tombstone. ``leader_epoch`` is that of the last one, where known."""

    offsets: list[int]
    values: list[bytes | None]
    leader_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def since(self, offset: int) -> Messages:
        """Return those that are not before an offset."""
        first = bisect_left(self.offsets, offset)
        return Messages(self.offsets[first:], self.values[first:], self.leader_epoch) if first else self
