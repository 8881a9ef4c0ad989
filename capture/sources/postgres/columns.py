r"""Rows as PostgreSQL sends them, many at a time, into columns of text: lines of COPY, and row messages of pgoutput.

They give the very values that :mod:`capture.sources.postgres.copytext` and :mod:`capture.sources.postgres.pgoutput`
give row by row, or raise Unserved for bytes that they do not understand: then those say what is wrong.

Sources: PostgreSQL documentation, COPY, "Text Format"; "Logical Replication Message Formats". Fields of a row have no
offsets, but COPY separates them by bytes that stand nowhere else, and in tuples one vector of positions, an entry for
each row, walks all rows at once.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from schemas.columnar.arrays import Unserved, binary, gather, take, with_nulls
from schemas.columnar.block import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.columnar.arrays import Bytes, Ints, Mask

_TAB, _LINE_FEED, _BACKSLASH, _CAPITAL_N = b"\t\n\\N"
_TEXT, _NULL, _UNCHANGED = b"tnu"
#: Bytes looked at together, so that what is worked out of them stays in the processor's cache.
_STRETCH: Final = 1 << 16
#: Bytes behind the last message, so that a length may be read at its end.
_PADDING: Final = bytes(8)

#: What the byte behind a backslash means.
_MEANING: Final = np.arange(256, dtype=np.uint8)
_MEANING[list(b"bfnrtv")] = list(b"\b\f\n\r\t\v")


# --- COPY -------------------------------------------------------------------------------------------------------------


def copy_columns(lines: bytes, width: int) -> Columns:
    """Return the columns of whole lines of COPY text with ``width`` values each."""
    data = np.frombuffer(lines, np.uint8)
    ends = _separators(data)
    if not width or not len(ends) or len(ends) % width or ends[-1] != len(data) - 1:
        raise Unserved
    expected = np.full(width, _TAB, np.uint8)
    expected[-1] = _LINE_FEED
    if (data[ends].reshape(-1, width) != expected).any():
        raise Unserved
    starts = np.empty_like(ends)
    starts[0] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    null = None
    if b"\\" in lines:
        null = _nulls(data, starts, ends)
        data, starts, ends = _unescaped(data, starts, ends)
    return _cells(data, starts, ends, null, width)


def _separators(data: Bytes) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return where tabs and line feeds are; inside values they are escaped."""
    shifted, found = np.empty(_STRETCH, np.uint8), np.empty(_STRETCH, np.bool_)
    places = []
    for at in range(0, len(data), _STRETCH):
        stretch = data[at : at + _STRETCH]
        size = len(stretch)
        np.subtract(stretch, _TAB, out=shifted[:size])
        np.less(shifted[:size], 2, out=found[:size])
        places.append((np.flatnonzero(found[:size]) + at).astype(np.int32))
    return np.concatenate(places) if places else np.zeros(0, np.int32)


def _nulls(data: Bytes, starts: Any, ends: Any) -> Mask:
    r"""Return which values are exactly ``\N``."""
    null = np.zeros(len(starts), np.bool_)
    short = np.flatnonzero(ends - starts == 2)
    at = starts[short]
    null[short] = (data[at] == _BACKSLASH) & (data[at + 1] == _CAPITAL_N)
    return null


def _unescaped(data: Bytes, starts: Any, ends: Any) -> tuple[Bytes, Any, Any]:
    """Return data without the backslashes of its escapes, the byte behind each as it is meant, and where values are."""
    backslashes = np.flatnonzero(data == _BACKSLASH)
    follows = np.concatenate(([False], backslashes[1:] == backslashes[:-1] + 1))
    index = np.arange(len(backslashes))
    first = np.maximum.accumulate(np.where(follows, 0, index))
    escapes = backslashes[(index - first) % 2 == 0]  # of a run of backslashes, every second one is meant itself
    owners = np.searchsorted(ends, escapes)
    if (escapes + 1 == ends[owners]).any():  # a backslash that escapes nothing
        raise Unserved
    meant = data.copy()
    meant[escapes + 1] = _MEANING[data[escapes + 1]]
    removed = np.cumsum(np.bincount(owners, minlength=len(ends))).astype(np.int32)
    ends = ends - removed
    starts = starts.copy()
    starts[1:] -= removed[:-1]
    return np.delete(meant, escapes), starts, ends


def _cells(data: Bytes, starts: Any, ends: Any, null: Mask | None, width: int) -> Columns:
    """Return every ``width``-th value as a column. Values and the bytes between them are one array to take from."""
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2], offsets[1::2] = starts, ends
    cells = binary(offsets, data)
    step = 2 * width
    places = np.arange(0, 2 * len(starts), step, dtype=np.int32)
    values = []
    for column in range(width):
        texts = take(cells, places + np.int32(2 * column))
        values.append(texts if null is None else with_nulls(texts, null[column::width]))
    return Columns(len(places), tuple(values), (None,) * width)


# --- pgoutput ---------------------------------------------------------------------------------------------------------


class Tuples(NamedTuple):
    """Row images read from messages, and where each of them ends in the data."""

    images: Columns
    ends: Ints


class Messages:
    """Row messages of pgoutput of one kind, one after the other. ``starts`` and ``ends``: where each of them lies."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._raw = b"".join([*messages, _PADDING])
        self.data = np.frombuffer(self._raw, np.uint8)
        self.ends = np.fromiter(accumulate(map(len, messages)), np.int64, len(messages))
        self.starts = self.ends - np.fromiter(map(len, messages), np.int64, len(messages))
        # Four bytes from any place on, as one number: a view of the same memory, one entry for each place.
        self._words = np.ndarray((len(self._raw) - 3,), "<u4", self._raw, strides=(1,))

    def require(self, at: Ints, byte: int) -> None:
        """Raise Unserved unless this byte stands at all these places of the data."""
        if (self._at(at) != byte).any():
            raise Unserved

    def finish(self, which: Ints, at: Ints) -> None:
        """Raise Unserved unless each of these messages ends here."""
        if (at != self.ends[which]).any():
            raise Unserved

    def tuples(self, which: Ints, at: Ints, width: int) -> Tuples:
        """Read TupleData of ``width`` values in each of these messages, from here on."""
        self.require(at, width >> 8)
        self.require(at + 1, width & 0xFF)
        at, limits = at + 2, self.ends[which]
        values, unsent = [], []
        for _ in range(width):
            kinds = self._at(at)
            sent = kinds == _TEXT
            null = None if sent.all() else ~sent
            starts, ends = at + 5, at + 5 + self._lengths(at + 1)
            if null is not None:
                starts, ends = np.where(sent, starts, at + 1), np.where(sent, ends, at + 1)
            at = ends
            if (ends > limits).any():
                raise Unserved
            values.append(with_nulls(gather(self._raw, starts, ends), null))
            unsent.append(None if null is None else self._unsent(kinds, null))
        return Tuples(Columns(len(which), tuple(values), tuple(unsent)), at)

    def _unsent(self, kinds: Bytes, null: Mask) -> Mask | None:
        unchanged = kinds == _UNCHANGED
        if (null & ~unchanged & (kinds != _NULL)).any():  # a value in another form than text
            raise Unserved
        return unchanged if unchanged.any() else None

    def _at(self, places: Ints) -> Bytes:
        try:
            return self.data[places]
        except IndexError:
            raise Unserved from None

    def _lengths(self, places: Ints) -> Ints:
        try:
            return self._words[places].byteswap().astype(np.int64)
        except IndexError:
            raise Unserved from None
