"""The comparison of two sets of rows through their hashes: cells that differ, ids that differ in them. Pure.

A row belongs to an id (its key as texts; without a key its own hashes), and an id to a bucket (by the id's hash).
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: What a row is known by: the texts of its key columns, or of its two hashes.
Id = tuple[str, ...]


class Sum(NamedTuple):
    """Some rows, added up: how many, and the sums of both their hashes. Equal sets of rows have equal sums."""

    rows: int
    first: int
    second: int


#: No rows.
NOTHING = Sum(0, 0, 0)


class Entry(NamedTuple):
    """All rows of one id, and the hash of the id by which entries are sorted."""

    bucket: int
    id: Id
    sum: Sum


class Seen(NamedTuple):
    """All rows of one id as they were at one moment; ``version`` changes whenever any of them is written."""

    sum: Sum
    version: str


#: An id without rows.
ABSENT = Seen(NOTHING, "")


class Finding(NamedTuple):
    """An id that is not the same on both sides, beyond doubt."""

    id: Id
    source: Sum
    target: Sum

    @property
    def missing(self) -> int:
        """Rows that the target lacks."""
        return max(0, self.source.rows - self.target.rows)

    @property
    def extra(self) -> int:
        """Rows that only the target has."""
        return max(0, self.target.rows - self.source.rows)

    @property
    def different(self) -> int:
        """Rows that are on both sides, with other contents."""
        return self.source.rows if self.source.rows == self.target.rows else 0


def differing(source: Mapping[int, Sum], target: Mapping[int, Sum]) -> list[int]:
    """Return the buckets that are not the same on both sides, in order."""
    return sorted(b for b in source.keys() | target.keys() if source.get(b, NOTHING) != target.get(b, NOTHING))


def suspects(source: Iterable[Entry], target: Iterable[Entry]) -> Iterator[Id]:
    """Yield the ids whose entries are not the same on both sides; both must come by rising bucket hash.

    Holds the entries of one bucket hash at a time.
    """
    ours, theirs = groupby(source, lambda e: e.bucket), groupby(target, lambda e: e.bucket)
    left, right = _next(ours), _next(theirs)
    while left is not None or right is not None:
        at = min(group[0] for group in (left, right) if group is not None)
        here = left[1] if left is not None and left[0] == at else {}
        there = right[1] if right is not None and right[0] == at else {}
        yield from (one for one in here.keys() | there.keys() if here.get(one) != there.get(one))
        left = _next(ours) if left is not None and left[0] == at else left
        right = _next(theirs) if right is not None and right[0] == at else right


def _next(groups: Iterator[tuple[int, Iterator[Entry]]]) -> tuple[int, dict[Id, Sum]] | None:
    bucket, entries = next(groups, (0, None))
    return None if entries is None else (bucket, {entry.id: entry.sum for entry in entries})
