"""Avro bytes -> typed columns. One vector of positions, an entry for each message, walks all messages at once.

Source: Apache Avro specification, "Binary Encoding". Positions only ever rise, and a message is read to its exact end,
so nothing is taken from the message beside it: a walk that strays does not end where it must. What cannot be read
raises Unserved; the row-wise reader then says what is wrong.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.columnar.arrays import Bytes, Ints, Mask, Unserved, gather, with_nulls
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.columnar.typed import Typed

    #: Reads one value for each position, and returns where the next field begins.
    Read = Callable[["Walk", Ints], tuple[Typed, Ints]]

#: Bytes behind the last message, so that eight of them and two more may be read at its end.
_PADDING: Final = bytes(16)
_INT32: Final = (-(1 << 31), (1 << 31) - 1)
#: The lowest, the highest and the other bits of eight bytes.
_ONES, _TOPS, _SEVENS = (np.uint64(int(f"{byte:02x}" * 8, 16)) for byte in (0x01, 0x80, 0x7F))


class Walk:
    """Messages, one after the other. ``starts`` and ``ends``: where each of them lies in ``data``."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self._raw = b"".join(values) + _PADDING
        self.data = np.frombuffer(self._raw, np.uint8)
        lengths = list(map(len, values))
        self.ends: Ints = np.fromiter(accumulate(lengths), np.int64, len(lengths))
        self.starts: Ints = self.ends - np.array(lengths, np.int64)
        self._size = len(self._raw) - len(_PADDING)
        # Eight bytes from any place on, as one number: a view of the same memory, one entry for each place.
        self._words = np.ndarray((len(self._raw) - 7,), "<u8", self._raw, strides=(1,))

    def bytes_at(self, at: Ints) -> Bytes:
        """Return the byte at each position."""
        try:
            return self.data[at]
        except IndexError:
            raise Unserved from None

    def longs(self, at: Ints) -> tuple[Ints, Ints]:
        """Read integers of at most 64 bits; return them and the positions after them."""
        first = self.bytes_at(at)
        if not (first & 0x80).any():
            zigzag = first.astype(np.int64)
            return zigzag >> 1 ^ -(zigzag & 1), at + 1
        words = self._words_at(at)
        stops = ~words & _TOPS
        kept = stops ^ (stops - _ONES[()] // _ONES[()])
        return self._unpacked(words & kept & _SEVENS, np.bitwise_count(kept).astype(np.int64) >> 3, stops == 0, at)

    def texts(self, at: Ints) -> tuple[pa.BinaryArray, Ints]:
        """Read strings or bytes."""
        sizes, starts = self.longs(at)
        ends = starts + sizes
        if len(ends) and (sizes.min() < 0 or ends.max() > self._size):
            raise Unserved
        return gather(self._raw, starts, ends), ends

    def matrix(self, at: Ints, width: int) -> Bytes:
        """Return the ``width`` bytes from each position on, a row each."""
        if len(at) and at.max() + width > self._size:
            raise Unserved
        return self.data[at[:, None] + np.arange(width)]

    def slice(self, start: int, end: int) -> bytes:
        """Return the bytes between two places."""
        return self._raw[start:end]

    def _words_at(self, at: Ints) -> np.ndarray[Any, np.dtype[np.uint64]]:
        try:
            return self._words[at]
        except IndexError:
            raise Unserved from None
