"""Unseen events laid over the rows of a chunk, so that what is published is the row as the stream left it. Pure.

Rule 6 of docs/snapshot-merge.md: a full row or a delete drops the chunk's row; a partly sent row is merged into it; a
key change carries it to its new key; a truncate drops all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.block import UNSENT, Op, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capture.snapshot.track import Change, Key


class Overlay:
    """The unseen events of one chunk, folded so that each row of the chunk is settled by one look-up.

    ``touched`` holds every key that an unseen event touched since the last unseen truncate, ``wiped`` says that there
    was one.
    """

    def __init__(self, unseen: Iterable[Change]) -> None:
        self.touched: set[Key] = set()
        self.wiped = False
        self._gone: set[Key] = set()
        self._moved: dict[Key, tuple[Key, Row]] = {}
        for change in unseen:
            self._fold(change)
        self._fate = dict(self._moved.values())

    def row(self, key: Key, row: Row) -> Row | None:
        """Return a chunk's row as it must be published, or None where it must not."""
        if self.wiped:
            return None
        if key in self._fate:
            return merged(row, self._fate[key])
        return None if key in self._gone else row

    def _fold(self, change: Change) -> None:
        if change.op is Op.TRUNCATE:
            self.wiped = True
            self._moved.clear()
            self.touched.clear()
            return
        origin = self._take(change.old)
        if change.new != change.old:
            self._take(change.new)
        if change.partial is not None and origin is not None and change.new is not None:
            start, patch = origin
            self._moved[change.new] = (start, merged(patch, change.partial) if patch else change.partial)

    def _take(self, key: Key | None) -> tuple[Key, Row | None] | None:
        """Take away whatever chunk row stands at a key now; return its first key and what was laid over it."""
        if key is None:
            return None
        self.touched.add(key)
        moved = self._moved.pop(key, None)
        if moved is not None:
            return moved
        if key in self._gone:
            return None
        self._gone.add(key)
        return key, None


def merged(base: Row, patch: Row) -> Row:
    """Return ``patch`` with its unsent columns taken from ``base``."""
    return tuple(b if p is UNSENT else p for b, p in zip(base, patch, strict=True))
