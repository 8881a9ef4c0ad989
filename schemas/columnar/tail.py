"""What an event says beside its row images, read from many events at once: the inverse of the envelope's pieces."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.binary import CORRUPT
from schemas.binary import reader as row_reader
from schemas.block import Op
from schemas.columnar.alike import read_alike
from schemas.columnar.arrays import Ints, Mask, Unserved
from schemas.columnar.received import ORIGINS
from schemas.columnar.tails import Lists, Tail
from schemas.order import ORDER_KEY_BYTES
from schemas.source_block import source_schema

if TYPE_CHECKING:
    from schemas.columnar.arrays import Bytes
    from schemas.columnar.walk import Walk

#: The types of names in the source block: all events of a topic from one pipeline have the same ones.
_NAMES: Final = ("string", ["null", "string"])
#: Different lists of columns not sent in one walk; a table has few.
_MOST_LISTS: Final = 16

_NULL, _PRESENT = 0, 2
#: Avro's length of a text of one byte, and of an order key.
_ONE_BYTE, _ORDER_LENGTH = 2, 2 * ORDER_KEY_BYTES
_IS_OP: Final = np.zeros(256, np.bool_)
_IS_OP[[ord(op.value) for op in Op]] = True
_ORIGINS: Final = {origin.value.encode(): i for i, origin in enumerate(ORIGINS)}
_read_names = row_reader({"type": "array", "items": "string"})


class _Field:
    """A field of the source block; ``read`` reads it in one event."""

    def __init__(self, name: str, avro: Any) -> None:
        self.name, self.avro, self.read = name, avro, row_reader(avro)


class TailReader:
    """Reads the events of one kind of source."""

    def __init__(self, connector: str) -> None:
        fields = source_schema(connector)["fields"]
        self._types = [(field["name"], field["type"]) for field in fields]
        self._source = [
            (kind, [_Field(field["name"], field["type"]) for field in run])
            for kind, run in groupby(fields, key=lambda field: field["type"] in _NAMES)
        ]

    def read(self, walk: Walk, at: Ints) -> Tail:
        """Read all events to their ends, from behind their row images on."""
        return read_alike(walk, at, self._types) or self._walked(walk, at)

    def _walked(self, walk: Walk, at: Ints) -> Tail:
        """Read them field by field."""
        origins, committed_us, at = self._read_source(walk, at)
        _require(walk.byte(at) == _NULL)  # transaction: nobody writes one
        ops = walk.byte(at + 2)
        _require((walk.byte(at + 1) == _ONE_BYTE) & _IS_OP[ops])
        at = _skip_optional_long(walk, _skip_optional_long(walk, at + 3))
        _require((walk.byte(at) == _PRESENT) & (walk.byte(at + 1) == _ORDER_LENGTH))
        orders = walk.fixed(at + 2, ORDER_KEY_BYTES)
        at = at + 2 + ORDER_KEY_BYTES
        last = walk.byte(at + 1)
        _require((walk.byte(at) == _PRESENT) & (last <= 1))
        key_change, at = _read_optional_boolean(walk, at + 2)
        unavailable, at = _read_lists(walk, at)
        unavailable_before, at = _read_lists(walk, at)
        odd = (walk.byte(at) != _NULL) | (walk.byte(np.minimum(at + 1, walk.ends)) != _NULL)
        _require(odd | (at + 2 == walk.ends))
        return Tail(
            ops, origins, committed_us, orders, last.view(np.bool_), key_change, unavailable, unavailable_before, odd
        )

    def _read_source(self, walk: Walk, at: Ints) -> tuple[Ints, Ints, Ints]:
        """Read the source block: return origins, commit times, and the positions after it."""
        origins = committed_us = at
        for are_names, fields in self._source:
            if are_names:
                at = _skip_names(walk, at, fields)
                continue
            for field in fields:
                if field.name == "snapshot":
                    origins, at = _read_origins(walk, at)
                elif field.name == "ts_us":
                    _require(walk.byte(at) == _PRESENT)
                    committed_us, at = walk.longs(at + 1)
                else:
                    at = walk.skip_longs(at) if field.avro == "long" else _skip_optional_long(walk, at)
        return origins, committed_us, at


def _require(condition: Mask) -> None:
    if not condition.all():
        raise Unserved


def _skip_names(walk: Walk, at: Ints, fields: list[_Field]) -> Ints:
    """Skip names, which must be UTF-8. Those of the first event are looked at; all others have the same bytes."""
    if not len(at):
        return at
    first, end = walk.message(0, int(at[0])), 0
    try:
        for field in fields:
            _, end = field.read(first, end)
    except CORRUPT:
        raise Unserved from None
    if not walk.same(at, first[:end]):
        raise Unserved
    return at + end


def _read_origins(walk: Walk, at: Ints) -> tuple[Ints, Ints]:
    """Read ``source.snapshot``: a union whose text comes before null."""
    _require(walk.byte(at) == _NULL)
    if len(at):
        size = int(walk.byte(at[:1] + 1)[0])
        first = walk.message(0, int(at[0]) + 1)[: 1 + size // 2]
        number = _ORIGINS.get(first[1:], -1)
        if number >= 0 and size == 2 * (len(first) - 1) and walk.same(at + 1, first):
            return np.full(len(at), number, np.int64), at + 1 + len(first)
    texts, after = walk.texts(at + 1)
    encoded = texts.dictionary_encode()
    numbers = [_ORIGINS.get(text, -1) for text in encoded.dictionary.to_pylist()]
    origins = np.array(numbers, np.int64)[encoded.indices.to_numpy()]
    _require(origins >= 0)
    return origins, after


def _skip_optional_long(walk: Walk, at: Ints) -> Ints:
    branch = walk.byte(at)
    _require((branch == _NULL) | (branch == _PRESENT))
    after = at + 1
    there = branch == _PRESENT
    if there.all():
        return walk.skip_longs(after)
    after[there] = walk.skip_longs(after[there])
    return after


def _read_optional_boolean(walk: Walk, at: Ints) -> tuple[Mask, Ints]:
    """Read a boolean of which null means false."""
    branch = walk.byte(at)
    there = branch == _PRESENT
    _require(there | (branch == _NULL))
    values = walk.byte(at + there)  # where it is null, the branch itself, which is 0
    _require(values <= 1)
    return values.view(np.bool_), at + 1 + there


def _read_lists(walk: Walk, at: Ints) -> tuple[Lists, Ints]:
    """Read optional lists of names: one is read as such, and where the same bytes stand is the same list."""
    branch = walk.byte(at)
    listed = branch == _PRESENT
    _require(listed | (branch == _NULL))
    names: list[tuple[str, ...]] = []
    which, after = np.full(len(at), -1, np.int64), at + 1
    rest = np.flatnonzero(listed)
    while len(rest):
        if len(names) == _MOST_LISTS:
            raise Unserved
        data, found = _list_at(walk, int(rest[0]), int(after[rest[0]]))
        long_enough = after[rest] + len(data) <= walk.ends[rest]
        same = long_enough.copy()
        same[long_enough] = (walk.fixed(after[rest[long_enough]], len(data)) == data).all(axis=1)
        which[rest[same]] = len(names)
        after[rest[same]] += len(data)
        names.append(found)
        rest = rest[~same]
    return Lists(names, which), after


def _list_at(walk: Walk, index: int, start: int) -> tuple[Bytes, tuple[str, ...]]:
    """Return the bytes of the list at a place of one message, and its names."""
    data = walk.message(index, start)
    try:
        found, end = _read_names(data, 0)
    except CORRUPT:
        raise Unserved from None
    read: Any = np.frombuffer(data, np.uint8, end)
    return read, tuple(found)
