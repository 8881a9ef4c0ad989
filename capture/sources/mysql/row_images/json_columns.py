"""Many documents of MySQL's binary JSON -> their texts: what :mod:`.json_binary` does for one. Pure.

Documents of a column have few shapes: the same keys, and values of the same types. One of them, the leader, is walked
value by value, and all others that were not read yet beside it, as vectors of positions. Those that turn out to have
its shape are written together, for what stands between their values is the same. What has a shape of its own, or cannot
be read, is left to the function for one document, which then says what is wrong with it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from capture.sources.mysql.row_images import json_binary as one
from schemas.columnar.arrays import concatenate, constants, data_of, gather, join, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from schemas.columnar.arrays import Ints, Mask

    Numbers = npt.NDArray[np.uint64]

#: Fewer documents are read sooner one by one.
_FEWEST: Final = 32
#: So many leaders may have too few followers before the rest is read one by one.
_MISSES: Final = 4
#: Values of a document, and bytes of a container's head with its keys; larger ones are read one by one.
_MOST_VALUES: Final = 200
_LONGEST_HEAD: Final = 4_000
#: Bytes of a length, of which the last is below this.
_LENGTH_BYTES: Final = 5
_MORE: Final = 0x80
#: Doubles of this size Arrow writes without exponent, as the server does.
_PLAIN: Final = (1e-6, 1e10)

_CONTAINERS: Final = {
    one.SMALL_OBJECT: (one.SMALL, True), one.LARGE_OBJECT: (one.LARGE, True),
    one.SMALL_ARRAY: (one.SMALL, False), one.LARGE_ARRAY: (one.LARGE, False),
}  # fmt: skip
#: Bytes of integers, and whether they have a sign.
_INTEGERS: Final = {
    one.INT16: (2, True), one.UINT16: (2, False), one.INT32: (4, True), one.UINT32: (4, False),
    one.INT64: (8, True), one.UINT64: (8, False),
}  # fmt: skip
#: A document of no bytes at all is null, as the server reads it.
_NULL: Final = constants([b"null"])
_LITERALS: Final = constants(list(one.LITERALS))
#: What is written behind a double with a fraction, and one without.
_FRACTIONS: Final = constants([b"", b".0"])


class _NotFollowedError(Exception):
    """A document that is no leader: it cannot be read, or is too large."""


class _Values(NamedTuple):
    """A value of each document: numbers, or where its bytes begin and end; and what makes texts of them."""

    vectors: Sequence[Any]
    write: Callable[..., pa.BinaryArray]


def texts(raw: bytes, words: Any, starts: Ints, ends: Ints, form: Callable[[bytes], bytes]) -> pa.BinaryArray:
    """Return the texts of the documents ``raw[starts[i]:ends[i]]``; ranges rise and do not overlap.

    ``words`` holds eight bytes from each place of ``raw`` on, little-endian; eight bytes or more follow the last
    document. ``form`` reads a single one; what it raises is raised for what it refuses.
    """
    empty = ends <= starts
    order, found = [np.flatnonzero(empty)], [take(_NULL, np.zeros(np.count_nonzero(empty), np.int8))]
    left, alone, misses = np.flatnonzero(~empty), [], 0
    while len(left) >= _FEWEST and misses < _MISSES:
        written, fits = _followed(raw, words, starts[left], ends[left])
        if written is None:
            misses += 1
            alone.append(left[:1])
            left = left[1:]
        else:
            found.append(written)
            order.append(left[fits])
            left = left[~fits]
    rest = np.concatenate([*alone, left])
    if len(rest):
        bounds = zip(starts[rest].tolist(), ends[rest].tolist(), strict=True)
        found.append(pa.array([form(raw[start:end]) for start, end in bounds], pa.binary()))
        order.append(rest)
    return _ordered(found, order)


def _ordered(found: list[pa.BinaryArray], order: list[Ints]) -> pa.BinaryArray:
    """Return texts at their places."""
    every, places = concatenate(found), np.concatenate(order)
    if (places[1:] > places[:-1]).all():
        return every
    back = np.empty(len(every), np.int64)
    back[places] = np.arange(len(every))
    return take(every, back)


def _followed(raw: bytes, words: Any, starts: Ints, ends: Ints) -> tuple[pa.BinaryArray | None, Mask]:
    """Return the texts of the documents of the first one's shape, None when they are too few; and which they are."""
    walk = _Walk(raw, words, starts, ends)
    try:
        pieces = list(walk.document())
        if np.count_nonzero(walk.fits) < _FEWEST:
            return None, walk.fits
        chosen = slice(None) if walk.fits.all() else walk.fits
        written = [
            piece if isinstance(piece, bytes) else piece.write(raw, *(vector[chosen] for vector in piece.vectors))
            for piece in pieces
        ]
    except (_NotFollowedError, ValueError, IndexError):
        return None, walk.fits
    if all(isinstance(piece, bytes) for piece in written):  # {} and []
        return constants([b"".join(written)] * int(np.count_nonzero(walk.fits))), walk.fits
    return join(written), walk.fits


class _Walk:
    """Goes through a document, and through the others beside it; ``fits`` tells which have had its shape so far.

    The others are looked at only within their own bytes: whose do not fit any more stand where the leader stands.
    """

    def __init__(self, raw: bytes, words: Any, starts: Ints, ends: Ints) -> None:
        self._raw, self._words, self._starts, self._ends = raw, words, starts, ends
        self.fits: Mask = np.ones(len(starts), np.bool_)
        self._values = 0

    def document(self) -> Iterator[bytes | _Values]:
        """Yield what the texts are made of; raises _NotFollowedError."""
        at = self._inside(self._starts, 1)
        yield from self._value(self._kind(at), at + 1, 0)  # offsets count from the byte behind the type

    def _value(self, kind: int, at: Ints, depth: int) -> Iterator[bytes | _Values]:
        self._values += 1
        if depth > one.DEEPEST or self._values > _MOST_VALUES:
            raise _NotFollowedError
        if kind in _CONTAINERS:
            layout, named = _CONTAINERS[kind]
            yield from self._container(layout, at, depth, named=named)
        elif kind == one.STRING:
            yield from (b'"', _Values(self._counted(at), _contents), b'"')
        elif kind == one.OPAQUE:
            at = self._inside(at, 1)
            yield _Values(self._counted(at + 1), partial(_opaques, self._kind(at)))
        elif kind == one.LITERAL:
            yield self._scalar(kind, self._number(self._inside(at, 1), 1))
        else:
            size = 8 if kind == one.DOUBLE else _INTEGERS.get(kind, (0, False))[0]
            yield self._scalar(kind, self._number(self._inside(at, size), size))

    def _container(self, layout: one.Layout, at: Ints, depth: int, *, named: bool) -> Iterator[bytes | _Values]:
        first = int(self._inside(at, layout.head.size)[0])
        count, _ = layout.head.unpack_from(self._raw, first)
        values = layout.head.size + count * layout.key.size * named
        places = range(values, values + count * layout.value.size, layout.value.size)
        at = self._inside(at, self._short(places.stop))
        keys = self._keys(layout, first, count) if named else []
        alike = [(0, layout.place), (layout.head.size, values), *((i, i + 1) for i in places), *keys]
        at = self._same(at, max([places.stop, *(end for _, end in keys)]), alike)
        before, after = (b"{", b"}") if named else (b"[", b"]")
        for i, place in enumerate(places):
            yield before + (one.key(self._raw[first + keys[i][0] : first + keys[i][1]]) if named else b"")
            yield from self._entry(layout, self._raw[first + place], at, place + 1, depth)
            before = b", "
        yield after if count else before + after

    def _keys(self, layout: one.Layout, first: int, count: int) -> list[tuple[int, int]]:
        """Return where the leader's keys lie in its container."""
        begin = first + layout.head.size
        found = layout.key.iter_unpack(self._raw[begin : begin + count * layout.key.size])
        return [(start, start + length) for start, length in found]

    def _entry(self, layout: one.Layout, kind: int, at: Ints, place: int, depth: int) -> Iterator[bytes | _Values]:
        """Yield the value of an entry: that itself, or what lies where it says."""
        number = self._number(at + place, layout.place)
        if kind in layout.inline:
            yield self._scalar(kind, number)
        else:
            yield from self._value(kind, at + number.astype(np.int64), depth + 1)

    def _scalar(self, kind: int, number: Numbers) -> _Values:
        if kind == one.LITERAL:
            number = number & np.uint64(0xFF)
            self._require(number < len(one.LITERALS))
            return _Values((number,), _literals)
        if kind == one.DOUBLE:
            doubles = number.view(np.float64)
            self._require(np.isfinite(doubles))
            return _Values((doubles,), _doubles)
        if kind not in _INTEGERS:
            raise _NotFollowedError
        size, signed = _INTEGERS[kind]
        unused = np.uint64(64 - 8 * size)
        number = number << unused
        return _Values((number.view(np.int64) >> unused.astype(np.int64) if signed else number >> unused,), _integers)

    # --- positions -------------------------------------------------------------------------------------------------

    def _require(self, condition: Mask) -> None:
        self.fits &= condition
        if not self.fits[0]:
            raise _NotFollowedError

    def _inside(self, at: Ints, size: int) -> Ints:
        """Require that so many bytes lie within each document."""
        self._require(at + size <= self._ends)
        return at if self.fits.all() else np.where(self.fits, at, at[0])

    @staticmethod
    def _short(size: int) -> int:
        if size > _LONGEST_HEAD:
            raise _NotFollowedError
        return size

    def _number(self, at: Ints, size: int) -> Numbers:
        numbers: Numbers = self._words[at]
        return numbers & np.uint64((1 << 8 * size) - 1)

    def _kind(self, at: Ints) -> int:
        """Return the leader's byte, and require that all have the same."""
        kind = self._raw[int(at[0])]
        self._require(self._number(at, 1) == kind)
        return kind

    def _same(self, at: Ints, size: int, alike: Sequence[tuple[int, int]]) -> Ints:
        """Require that of ``size`` bytes those in the ranges ``alike`` are the leader's."""
        at = self._inside(at, self._short(size))
        mask = np.zeros(-(-size // 8) * 8, np.uint8)
        for start, end in alike:
            mask[start:end] = 0xFF
        differs = np.zeros(len(at), np.uint64)
        for i, word in enumerate(mask.view(np.uint64)):
            if word:
                found = self._words[at + 8 * i]
                differs |= (found ^ found[0]) & word
        self._require(differs == 0)
        return at

    def _counted(self, at: Ints) -> tuple[Ints, Ints]:
        """Return where bytes begin and end behind their length: seven bits a byte, the highest bit: more come."""
        at = self._inside(at, 1)
        stored = self._words[at].view(np.uint8).reshape(-1, 8)
        length, size = (stored[:, 0] & 0x7F).astype(np.int64), np.ones(len(at), np.int64)
        more = stored[:, 0] >= _MORE
        for i in range(1, _LENGTH_BYTES):
            if not more.any():
                break
            length += np.where(more, (stored[:, i] & 0x7F).astype(np.int64) << 7 * i, 0)
            size += more
            more &= stored[:, i] >= _MORE
        starts = at + size
        self._require(~more & (starts + length <= self._ends))
        return starts, starts + length


# --- texts ------------------------------------------------------------------------------------------------------------


def _integers(_raw: bytes, numbers: Any) -> pa.BinaryArray:
    return pa.array(numbers).cast(pa.string()).view(pa.binary())


def _literals(_raw: bytes, numbers: Numbers) -> pa.BinaryArray:
    return take(_LITERALS, numbers)


def _doubles(raw: bytes, values: npt.NDArray[np.float64]) -> pa.BinaryArray:
    sizes = np.abs(values)
    if ((sizes != 0) & ~((sizes >= _PLAIN[0]) & (sizes < _PLAIN[1]))).any():
        return pa.array([one.double(value) for value in values.tolist()], pa.binary())
    return join([_integers(raw, values), take(_FRACTIONS, (values == np.trunc(values)).view(np.int8))])


def _contents(raw: bytes, starts: Ints, ends: Ints) -> pa.BinaryArray:
    """Return the contents of strings, escaped."""
    found = gather(raw, starts, ends)
    present = np.flatnonzero(np.bincount(data_of(found)[_ESCAPED[data_of(found)]], minlength=256))
    for byte in sorted(present.tolist(), key=lambda byte: byte != _BACKSLASH):
        escape = one.ESCAPED[byte]
        found = pc.replace_substring(found, pattern=bytes([byte]), replacement=escape)
    return found


def _opaques(kind: int, raw: bytes, starts: Ints, ends: Ints) -> pa.BinaryArray:
    bounds = zip(starts.tolist(), ends.tolist(), strict=True)
    return pa.array([one.opaque(kind, raw[start:end]) for start, end in bounds], pa.binary())


_BACKSLASH: Final = ord("\\")
_ESCAPED: Final = np.array([escape is not None for escape in one.ESCAPED])
