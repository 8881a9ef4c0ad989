"""The planner's common case by column: the last whole row of each key, and deletes. Everything else is apply.planner's.

Same steps as there; only rows within a step may stand in another order, which does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from apply.column_rows import ColumnRows
from apply.steps import Delete, Insert, Plan, Step, Truncate, Upsert
from schemas.block import Op, Origin
from schemas.columnar.arrays import Unserved, concatenate, join, nulls_of
from schemas.columnar.received import ORIGINS, ReceivedColumns
from schemas.received import Received

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from apply.steps import Key
    from schemas.columnar.arrays import Ints, Mask
    from schemas.columnar.block import Columns
    from schemas.columnar.received import AnyReceived
    from schemas.table import TableSchema

_TRUNCATE: Final = ord(Op.TRUNCATE.value)
_CREATES: Final = (ord(Op.READ.value), ord(Op.CREATE.value))
_OPENING: Final = ORIGINS.index(Origin.OPENING)


#: So many new rows are worth a COPY of their own, straight into the table, among rows that replace others.
WORTH_COPYING: Final = 500


class _Images(NamedTuple):
    """The images that count of some events: the new rows, or the old ones of deletes. ``places``: among all events."""

    places: Ints
    images: Columns
    deletes: bool


def plan_columns(batch: Sequence[AnyReceived]) -> Plan | None:
    """Return the steps for events of one table version, in topic order; None where they are not the common case."""
    table = batch[0].table
    events = [ReceivedColumns.of(one) if isinstance(one, Received) else one for one in batch]
    start, opening = _after_truncate(events)
    steps: list[Step] = [] if opening is None else [Truncate(opening)]
    ops = np.concatenate([one.ops for one in events])[start:]
    if not len(ops):
        return Plan(steps)
    creates = np.isin(ops, _CREATES)
    if not creates.all() and (table.full_identity or table.keyless):
        return None
    if np.concatenate([one.key_change for one in events])[start:].any():
        return None
    try:
        images = _images(events, start)
        return Plan(steps + _steps(table, images, creates, emptied=opening is not None))
    except Unserved:
        return None


def _after_truncate(events: Sequence[ReceivedColumns]) -> tuple[int, bool | None]:
    """Return where the events that count begin, and whether a truncate before them opens a snapshot (None: none)."""
    start, opening, seen = 0, None, 0
    for received in events:
        truncates = np.flatnonzero(received.ops == _TRUNCATE)
        if len(truncates):
            start = seen + int(truncates[-1]) + 1
            opening = bool(opening) or bool((received.origins[truncates] == _OPENING).any())
        seen += len(received)
    return start, opening


def _images(events: Sequence[ReceivedColumns], start: int) -> list[_Images]:
    """Return the images that count from an event on; raises Unserved where a new row lacks columns."""
    found, seen = [], -start
    for received in events:
        for part in received.parts:
            images, deletes = (part.before, True) if part.after is None else (part.after, False)
            places = part.places + seen
            if images is None or not len(places) or places[-1] < 0:
                continue
            if places[0] < 0:
                images, places = images.take(np.flatnonzero(places >= 0)), places[places >= 0]
            if not deletes and any(mask is not None and mask.any() for mask in images.unsent):
                raise Unserved
            found.append(_Images(places, images, deletes))
        seen += len(received)
    return found


def _steps(table: TableSchema, found: list[_Images], creates: Mask, *, emptied: bool) -> list[Step]:
    if table.keyless:
        return [Insert(_rows(found))]
    only_creates = bool(creates.all())
    fates = _fates([_keys(table, one.images) for one in found], [one.places for one in found], creates)
    kept = [_picked(one, fates.last) for one in found] if fates.last is not None else found
    whole = [one for one in kept if not one.deletes]
    gone = [] if emptied else sorted(key for one in kept if one.deletes for key in _key_tuples(table, one.images))
    steps: list[Step] = [Delete(gone)] if gone else []
    if not only_creates and not emptied:
        new = sum(int(np.count_nonzero(fates.born[one.places])) for one in whole)
        if new >= WORTH_COPYING:
            steps.append(Upsert(_rows([_picked(one, fates.born) for one in whole]), created=True))
            whole = [_picked(one, ~fates.born) for one in whole]
    rows = _rows(whole)
    if len(rows):
        steps.append(Upsert(rows, created=only_creates))
    return steps


def _keys(table: TableSchema, images: Columns) -> pa.BinaryArray:
    """Return one text for each key, a different one for different keys: COPY text holds no tab."""
    columns = [images.values[i] for i in table.key]
    if any(nulls_of(column) is not None for column in columns):
        raise Unserved
    pieces = [piece for column in columns for piece in (column, b"\t")][:-1]
    return columns[0] if len(columns) == 1 else join(pieces)


class _Fates(NamedTuple):
    """By place: which events are the last of their key (None: all are), and of these, whose key began with a create."""

    last: Mask | None
    born: Mask


def _fates(keys: list[pa.BinaryArray], places: list[Ints], creates: Mask) -> _Fates:
    encoded = concatenate(keys).dictionary_encode()
    place, distinct = np.concatenate(places), len(encoded.dictionary)
    if distinct == len(place):
        return _Fates(None, creates)
    order = np.argsort(place)
    place, code = place[order], encoded.indices.to_numpy()[order]
    first, last = np.empty(distinct, np.int64), np.empty(distinct, np.int64)
    last[code] = place  # of several places, the last one written stays
    first[code[::-1]] = place[::-1]
    are_last, born = np.zeros(len(creates), np.bool_), np.zeros(len(creates), np.bool_)
    are_last[last] = True
    born[last] = creates[first]
    return _Fates(are_last, born)


def _picked(one: _Images, which: Mask) -> _Images:
    """Return the images of the events that ``which`` marks, by place."""
    kept = np.flatnonzero(which[one.places])
    return one if len(kept) == len(one.places) else one._replace(places=one.places[kept], images=one.images.take(kept))


def _rows(found: list[_Images]) -> ColumnRows:
    return ColumnRows(tuple(one.images.values for one in found if len(one.places)))


def _key_tuples(table: TableSchema, images: Columns) -> list[Key]:
    return list(zip(*(images.values[i].to_pylist() for i in table.key), strict=True))
