"""Events of one table version -> the fewest steps with the same result. Pure.

Without a key the net effect is a multiset: how often each full row image was added or removed. With a key it is the
last state of each key (apply.rows). In both a truncate makes everything before it moot.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from apply.rows import Change, Rows, key_of, whole
from apply.steps import Erase, FullRow, Insert, Plan, Step, Truncate, Upsert
from schemas.block import UNSENT, Op, Origin, Row
from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.received import Received
    from schemas.table import TableSchema

_CREATES = frozenset({Op.READ, Op.CREATE})


def plan(batch: Sequence[Received]) -> Plan:
    """Return the steps for events of one table version, in topic order.

    Raises ContractError when an event lacks what its table needs (a key value, a column of a keyless table's row).
    """
    table = batch[0].table
    start, opening = _after_truncate(batch)
    steps: list[Step] = [] if opening is None else [Truncate(opening)]
    if _only_creates(batch, start):
        steps += _created(table, list(chain.from_iterable(r.after for r in batch))[start:])
        return Plan(steps)
    if table.keyless:
        steps += _net_effect(_changes(batch, start))
        return Plan(steps)
    rows = Rows(table, emptied=opening is not None)
    for change in _changes(batch, start):
        rows.take(change)
    steps += rows.steps()
    return Plan(steps, rows.missing)


def _after_truncate(batch: Sequence[Received]) -> tuple[int, bool | None]:
    """Return where the events that count begin, and whether a truncate before them opens a snapshot (None: none)."""
    start, opening, seen = 0, None, 0
    for received in batch:
        if Op.TRUNCATE in received.ops:
            for i, op in enumerate(received.ops):
                if op is Op.TRUNCATE:
                    start, opening = seen + i + 1, bool(opening) or received.origins[i] is Origin.OPENING
        seen += len(received)
    return start, opening


def _changes(batch: Sequence[Received], start: int) -> Iterator[Change]:
    events = chain.from_iterable(zip(r.ops, r.before, r.after, r.key_change, r.last, strict=True) for r in batch)
    for _ in range(start):
        next(events)
    return map(Change._make, events)


def _only_creates(batch: Sequence[Received], start: int) -> bool:
    return all(op in _CREATES for op in list(chain.from_iterable(r.ops for r in batch))[start:]) and not any(
        chain.from_iterable(r.key_change for r in batch)
    )


def _created(table: TableSchema, images: list[Row | None]) -> list[Step]:
    """Whole new rows only: by far the most frequent case, and the bulk of every snapshot."""
    rows = [whole(table, image) for image in images]
    if not rows:
        return []
    if table.keyless:
        return [Insert(rows)]
    newest = {key_of(table, row): row for row in rows}
    return [Upsert(list(newest.values()), created=True)]


def _net_effect(changes: Iterator[Change]) -> list[Step]:
    net: Counter[FullRow] = Counter()
    for change in changes:
        if change.op in (Op.UPDATE, Op.DELETE):
            net[_image(change.before, None)] -= 1
        if change.op is not Op.DELETE:
            net[_image(change.after, change.before)] += 1
    gone = {row: -n for row, n in net.items() if n < 0}
    added = [row for row, n in net.items() for _ in range(n)]
    steps: list[Step] = [Erase(list(gone), list(gone.values()))] if gone else []
    if added:
        steps.append(Insert(added))
    return steps


def _image(row: Row | None, older: Row | None) -> FullRow:
    """Return the full image of a keyless row; what an update did not send is as in its older image."""
    if row is not None and older is not None and UNSENT in row:
        row = tuple(old if new is UNSENT else new for new, old in zip(row, older, strict=True))
    if row is None or UNSENT in row:
        raise ContractError("an event of a table without a key came without its full row image")
    return row  # type: ignore[return-value]  # as in whole()
