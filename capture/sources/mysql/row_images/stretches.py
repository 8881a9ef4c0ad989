"""Rows in the bytes of the events that they came with, as long as nobody asks for a single one. Pure.

A single row is the letter of its operation and its images. Made of each row of a busy stream, and joined again to be
read by column, they would take a tenth of capture's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.columnar.arrays import Bytes, Ints

#: Bytes behind the last row, so that eight may be read anywhere.
PADDING: Final = bytes(32)


class Stretch(NamedTuple):
    """Rows in one piece of bytes: the letters of their operations, and where the images of each begin and end."""

    raw: bytes
    letters: Bytes
    starts: Ints
    ends: Ints


class Slice(NamedTuple):
    """The rows ``first``..``end`` of a stretch."""

    stretch: Stretch
    first: int
    end: int

    def rows(self) -> Iterator[bytes]:
        """Yield them one by one."""
        raw, letters, starts, ends = self.stretch
        some = slice(self.first, self.end)
        for letter, start, end in zip(letters[some].tolist(), starts[some].tolist(), ends[some].tolist(), strict=True):
            yield bytes((letter,)) + raw[start:end]


class Rows:
    """What a list of rows is to :class:`capture.runs.RunBuilder`, made of slices and of single rows."""

    def __init__(self, found: Sequence[bytes] = ()) -> None:
        self._parts: list[Slice | list[bytes]] = []
        self._size = 0
        self.extend(found)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from part if isinstance(part, list) else part.rows()

    def append(self, row: bytes) -> None:
        """Add a row at the end."""
        self.extend([row])

    def extend(self, found: Slice | Sequence[bytes]) -> None:
        """Add rows at the end."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(found, Slice):
            self._size += len(found)
            if isinstance(last, list):
                last.extend(found)
            elif found:
                self._parts.append(list(found))
            return
        self._size += found.end - found.first
        if isinstance(last, Slice) and last.stretch is found.stretch and last.end == found.first:
            self._parts[-1] = Slice(last.stretch, last.first, found.end)
        elif found.end > found.first:
            self._parts.append(found)

    def pop(self) -> bytes:
        """Take away the last row; raises IndexError when there is none."""
        last = self._parts.pop()
        *rest, row = last if isinstance(last, list) else last._replace(first=last.end - 1).rows()
        self._size -= 1
        if isinstance(last, list):
            if rest:
                self._parts.append(rest)
        elif last.end - 1 > last.first:
            self._parts.append(last._replace(end=last.end - 1))
        return row

    def together(self) -> Stretch:
        """Return all rows in one piece, with PADDING behind the last."""
        parts = [_piece(part) for part in self._parts]
        if not parts:
            return Stretch(PADDING, *_NOTHING)
        sizes = [len(part.raw) for part in parts]
        begins = np.cumsum([0, *sizes[:-1]])
        return Stretch(
            b"".join([*(part.raw for part in parts), PADDING]),
            np.concatenate([part.letters for part in parts]),
            np.concatenate([part.starts + begin for part, begin in zip(parts, begins, strict=True)]),
            np.concatenate([part.ends + begin for part, begin in zip(parts, begins, strict=True)]),
        )


class _Piece(NamedTuple):
    """A stretch whose bytes need not be copied to be joined to others."""

    raw: bytes | memoryview
    letters: Bytes
    starts: Ints
    ends: Ints


def _piece(part: Slice | list[bytes]) -> _Piece:
    if isinstance(part, list):
        sizes = np.fromiter(map(len, part), np.int64, len(part))
        ends = np.cumsum(sizes)
        raw = b"".join(part)
        return _Piece(raw, np.frombuffer(raw, np.uint8)[ends - sizes], ends - sizes + 1, ends)
    stretch, some = part.stretch, slice(part.first, part.end)
    begin, end = int(stretch.starts[part.first]), int(stretch.ends[part.end - 1])
    raw_part = memoryview(stretch.raw)[begin:end]
    return _Piece(raw_part, stretch.letters[some], stretch.starts[some] - begin, stretch.ends[some] - begin)


_NOTHING: Final = (np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))
