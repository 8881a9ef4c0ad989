"""Events of which everything beside the row images lies at the same places, read together.

Neighbouring events share nearly all bytes of their tails: the same source block, times of as many bytes, order keys of
one width. So where tails are equally long, one of them is read, and all others are compared with it: the bits that they
must share are found in two passes over all bytes, whatever the fields. Source: Apache Avro specification, "Binary
Encoding": the bytes of an integer go on while their highest bit is set, so integers with the same highest bits are
equally long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.binary import CORRUPT, read_long
from schemas.binary import reader as row_reader
from schemas.block import Op
from schemas.columnar.arrays import data_of
from schemas.columnar.received import ORIGINS
from schemas.columnar.tails import Lists, Tail, merged
from schemas.order import ORDER_KEY_BYTES

if TYPE_CHECKING:
    from schemas.binary import Reader
    from schemas.columnar.arrays import Bytes, Ints
    from schemas.columnar.walk import Walk

#: Different lengths of tails in one walk; more are not worth the passes over each. A stream has two: with and without a
#: list of the columns of an old row that were not sent.
_MOST_LENGTHS: Final = 4
#: What a byte of an integer shares with its like in other events: whether the integer goes on.
_GOES_ON: Final = 0x80
#: Bytes of an integer whose value may be any: those of ten bytes may hold more than 64 bits.
_ANY_VALUE: Final = 9
_ALL: Final = 0xFF

_NULL, _PRESENT = 0, 2
_IS_OP: Final = np.isin(np.arange(256), [ord(op.value) for op in Op])
_ORIGINS: Final = {origin.value: i for i, origin in enumerate(ORIGINS)}
_read_names: Final = row_reader({"type": "array", "items": "string"})


def read_alike(walk: Walk, at: Ints, source: list[tuple[str, Any]]) -> Tail | None:
    """Return the tails from these positions on; None where they are not alike, or where one cannot be read.

    ``source`` are the names and types of the source block's fields. Nothing is taken for granted: what is returned is
    what would be read of each tail alone.
    """
    lengths = walk.ends - at
    if not len(at) or lengths.min() <= 0:
        return None
    if (lengths == lengths[0]).all():
        return _read(walk, at, source)
    distinct = np.unique(lengths)
    parts: list[tuple[Ints, Tail]] = []
    for length in distinct if len(distinct) <= _MOST_LENGTHS else ():
        places = np.flatnonzero(lengths == length)
        tail = _read(walk, at[places], source, int(places[0]))
        if tail is None:
            return None
        parts.append((places, tail))
    return merged(len(at), parts) if parts else None


def _read(walk: Walk, at: Ints, source: list[tuple[str, Any]], index: int = 0) -> Tail | None:
    """Return tails of one length; ``index`` is the message of the first one."""
    first = walk.message(index, int(at[0]))
    try:
        layout = _Layout(first, source)
    except (*CORRUPT, KeyError):
        return None
    tails = data_of(walk.gather(at, at + len(first))).reshape(len(at), len(first))
    varies = np.bitwise_or.reduce(tails, axis=0) ^ np.bitwise_and.reduce(tails, axis=0)
    ops, last = tails[:, layout.op], tails[:, layout.last]
    if (varies & layout.shared).any() or last.max() > 1 or not _IS_OP[ops].all():
        return None
    count, committed = len(at), layout.committed_us
    return Tail(
        ops.copy(),
        np.full(count, layout.origin, np.int64),
        walk.longs(at + committed)[0] if varies[committed : committed + _ANY_VALUE].any() else layout.of_all(count),
        np.ascontiguousarray(tails[:, layout.order : layout.order + ORDER_KEY_BYTES]),
        last == 1,
        np.full(count, layout.key_change, np.bool_),
        Lists.same(layout.unavailable, count),
        Lists.same(layout.unavailable_before, count),
        np.zeros(count, np.bool_),
    )


class _Layout:
    """Where the fields of one tail lie, and the bits of its bytes that its like must ``share`` with it.

    Raises one of CORRUPT, or KeyError, for a tail that is not to be read here.
    """

    def __init__(self, data: bytes, source: list[tuple[str, Any]]) -> None:
        self._data, self._at = data, 0
        self.shared: Bytes = np.full(len(data), _ALL, np.uint8)
        for name, avro in source:
            self._source_field(name, avro)
        self._expect(_NULL, 2)  # no transaction; then the length of one letter
        self.op = self._free(1)
        for _ in ("ts_ms", "ts_us"):
            self._field(["null", "long"])
        self._expect(_PRESENT, 2 * ORDER_KEY_BYTES)
        self.order = self._free(ORDER_KEY_BYTES)
        self._expect(_PRESENT)
        self.last = self._free(1)
        self.key_change = self._optional_boolean()
        self.unavailable, self.unavailable_before = self._names(), self._names()
        self._expect(_NULL, _NULL)  # nothing verbatim
        if self._at != len(data):
            raise ValueError("bytes follow the end")

    def of_all(self, count: int) -> Ints:
        """Return the commit time for so many events that share it."""
        return np.full(count, read_long(self._data, self.committed_us)[0], np.int64)

    def _source_field(self, name: str, avro: Any) -> None:
        begin = self._at
        value = self._field(avro)
        if name == "snapshot":
            self.origin = _ORIGINS[value]
        elif name == "ts_us":
            if value is None:
                raise ValueError("no commit time")
            self.committed_us = begin + 1  # behind the branch

    def _field(self, avro: Any) -> Any:
        """Read a value of a primitive type, or of a union of some."""
        if isinstance(avro, list):
            branch = self._byte()
            if branch not in (0, 2):
                raise ValueError("neither of two branches")
            return self._field(avro[branch >> 1])
        begin = self._at
        if avro == "null":
            return None
        read: Reader = _READERS[avro["type"] if isinstance(avro, dict) else avro]
        value, self._at = read(self._data, begin)
        if avro == "long" and self._at - begin <= _ANY_VALUE:
            self.shared[begin : self._at] = _GOES_ON
        return value

    def _optional_boolean(self) -> bool:
        if self._byte() == _NULL:
            return False
        value, self._at = _READERS["boolean"](self._data, self._at)
        return bool(value)

    def _names(self) -> tuple[str, ...] | None:
        if self._byte() == _NULL:
            return None
        names, self._at = _read_names(self._data, self._at)
        return tuple(names)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _free(self, size: int) -> int:
        """Pass over bytes that may be any; return where they begin."""
        begin = self._at
        self._at += size
        self.shared[begin : self._at] = 0
        return begin

    def _expect(self, *found: int) -> None:
        if tuple(self._byte() for _ in found) != found:
            raise ValueError("not what stands here in an event")


_READERS: Final[dict[str, Reader]] = {name: row_reader(name) for name in ("boolean", "int", "long", "string")}
