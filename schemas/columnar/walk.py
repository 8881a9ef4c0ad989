"""Messages walked by column: one vector of positions, an entry for each message, reads a field of all of them at once.

Source: Apache Avro specification, "Binary Encoding". Positions only ever rise, and every message must be read to its
exact end, so nothing is taken from the message beside it: a walk that strays does not end where it must. What cannot
be read raises Unserved; the row-wise reader then says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.columnar.arrays import Bytes, Ints, Unserved, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pyarrow as pa

    Words = npt.NDArray[np.uint64]

#: Bytes behind the last message, so that the ten bytes of the longest integer may be looked at from its end.
_PADDING: Final = bytes(16)
_ONE: Final = np.uint64(1)
#: The highest bit of each of eight bytes, and all others.
_TOPS, _SEVENS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
#: How pairs of 7, 14 and 28 bits move together: the lower ones stay, the higher ones close the gap.
_FOLDS: Final = tuple(
    (np.uint64(low), np.uint64(high), np.uint64(shift))
    for low, high, shift in (
        (0x007F007F007F007F, 0x7F007F007F007F00, 1),
        (0x00003FFF00003FFF, 0x3FFF00003FFF0000, 2),
        (0x000000000FFFFFFF, 0x0FFFFFFF00000000, 4),
    )
)


class Walk:
    """Messages one after the other in ``data``; ``starts`` and ``ends`` say where each of them lies."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._raw = b"".join([*messages, _PADDING])
        self.data: Bytes = np.frombuffer(self._raw, np.uint8)
        lengths = np.fromiter(map(len, messages), np.int64, len(messages))
        self.ends: Ints = np.cumsum(lengths)
        self.starts: Ints = self.ends - lengths
        self._size = len(self._raw) - len(_PADDING)
        # Eight bytes from any place on, as one number: a view of the same memory, one entry for each place.
        self._words: Words = np.ndarray((len(self._raw) - 7,), "<u8", self._raw, strides=(1,))

    def byte(self, at: Ints) -> Bytes:
        """Return the byte at each position."""
        try:
            return self.data[at]
        except IndexError:
            raise Unserved from None

    def longs(self, at: Ints) -> tuple[Ints, Ints]:
        """Read integers; return them and the positions after them."""
        first = self.byte(at)
        if not (first & 0x80).any():
            zigzag = first.astype(np.uint64)
            return _signed(zigzag), at + 1
        words = self._word(at)
        stops = ~words & _TOPS
        kept = stops ^ (stops - _ONE)  # every bit up to the first byte that ends the integer; all if none does
        zigzag = words & kept & _SEVENS
        for low, high, shift in _FOLDS:
            zigzag = zigzag & low | (zigzag & high) >> shift
        after = at + (np.bitwise_count(kept).astype(np.int64) >> 3)
        longer = np.flatnonzero(stops == 0)
        if len(longer):
            self._add_ninth_and_tenth(zigzag, after, longer)
        return _signed(zigzag), after

    def skip_longs(self, at: Ints) -> Ints:
        """Return the positions after integers, whatever they are."""
        stops = ~self._word(at) & _TOPS
        if not stops.all():  # nine or ten bytes: seldom, and they must be looked at
            return self.longs(at)[1]
        return at + (np.bitwise_count(stops ^ (stops - _ONE)).astype(np.int64) >> 3)

    def same(self, at: Ints, wanted: bytes) -> bool:
        """Return whether these bytes stand at every position, within the message that begins before it."""
        if (at + len(wanted) > self.ends).any():
            return False
        for i in range(0, len(wanted), 8):
            piece = wanted[i : i + 8]
            mask = np.uint64((1 << 8 * len(piece)) - 1)
            if ((self._words[at + i] & mask) != np.uint64(int.from_bytes(piece, "little"))).any():
                return False
        return True

    def texts(self, at: Ints) -> tuple[pa.BinaryArray, Ints]:
        """Read strings or bytes; return them and the positions after them."""
        starts, ends = self.text_places(at)
        return gather(self._raw, starts, ends), ends

    def text_places(self, at: Ints) -> tuple[Ints, Ints]:
        """Return where strings or bytes begin and end."""
        sizes, starts = self._sizes(at)
        if sizes.min(initial=0) < 0 or sizes.max(initial=0) > self._size:
            raise Unserved
        ends = starts + sizes
        if ends.max(initial=0) > self._size:
            raise Unserved
        return starts, ends

    def _sizes(self, at: Ints) -> tuple[Ints, Ints]:
        """Read integers as ``longs`` does; those of one byte or two, as nearly all lengths are, with less work."""
        zigzag = self.byte(at)
        goes_on = zigzag >= 0x80
        if not goes_on.any():
            return _unsigned(zigzag), at + 1
        second = self.byte(at + 1)
        if (goes_on & (second >= 0x80)).any():
            return self.longs(at)
        zigzag = np.where(goes_on, zigzag & 0x7F | second.astype(np.uint16) << 7, zigzag)
        return _unsigned(zigzag), at + 1 + goes_on

    def gather(self, starts: Ints, ends: Ints) -> pa.BinaryArray:
        """Return the bytes between positions, which must lie within the messages."""
        return gather(self._raw, starts, ends)

    def fixed(self, at: Ints, width: int) -> Bytes:
        """Return the ``width`` bytes from each position on, a row each; they are taken eight at a time."""
        if at.max(initial=0) + width > self._size:
            raise Unserved
        words = np.empty((len(at), (width + 7) // 8), np.uint64)
        for i in range(words.shape[1]):
            words[:, i] = self._words[at + 8 * i]
        return np.ascontiguousarray(words.view(np.uint8)[:, :width])

    def message(self, index: int, start: int) -> bytes:
        """Return one message from a position on."""
        return self._raw[start : int(self.ends[index])]

    def _word(self, at: Ints) -> Words:
        try:
            return self._words[at]
        except IndexError:
            raise Unserved from None

    def _add_ninth_and_tenth(self, zigzag: Words, after: Ints, longer: Ints) -> None:
        """Add what the last two bytes of the longest integers hold: seven bits, and one."""
        ninth = self.byte(after[longer])
        goes_on = ninth >= 0x80
        tenth = np.where(goes_on, self.byte(after[longer] + 1), 0)
        if (tenth > 1).any():  # more than 64 bits
            raise Unserved
        high = (ninth & 0x7F).astype(np.uint64) << np.uint64(56)
        zigzag[longer] |= high | tenth.astype(np.uint64) << np.uint64(63)
        after[longer] += 1 + goes_on


def _unsigned(zigzag: npt.NDArray[Any]) -> Ints:
    """Return numbers that must not be negative."""
    if (zigzag & 1).any():
        raise Unserved
    return (zigzag >> 1).astype(np.int64)


def _signed(zigzag: Words) -> Ints:
    numbers: Ints = (zigzag >> _ONE ^ (~(zigzag & _ONE) + _ONE)).view(np.int64)
    return numbers
