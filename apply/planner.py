"""Events of one table version -> the fewest steps with the same result. Pure.

Without a key the net effect is a multiset: how often each full row image was added or removed. With a key it is the
last state of each key: read off at once where every row came whole, followed event by event (apply.rows) where columns
were not sent or keys changed. A truncate makes everything before it moot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from apply import column_plan
from apply.rows import Change, Rows
from apply.steps import Delete, Erase, Insert, Key, Plan, Step, Truncate, Upsert
from schemas.block import UNSENT, Op, Origin, Row
from schemas.columnar.received import ReceivedColumns
from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apply.column_rows import FullRow
    from schemas.columnar.received import AnyReceived
    from schemas.received import Received
    from schemas.table import TableSchema

_CREATES: Final = frozenset({Op.READ, Op.CREATE})


class _Events(NamedTuple):
    """Parallel lists of what the planner looks at."""

    ops: list[Op]
    before: list[Row | None]
    after: list[Row | None]
    key_change: list[bool]
    last: list[bool]

    @property
    def only_creates(self) -> bool:
        return _CREATES.issuperset(self.ops) and True not in self.key_change

    @property
    def all_whole(self) -> bool:
        """Whether every new row came with all its columns, under the key that it has had."""
        return True not in self.key_change and UNSENT not in chain.from_iterable(filter(None, self.after))


def plan(batch: Sequence[AnyReceived]) -> Plan:
    """Return the steps for events of one table version, in topic order.

    Raises ContractError when an event lacks what its table needs (a key value, a column of a keyless table's row).
    """
    by_column = sum(len(one) for one in batch if isinstance(one, ReceivedColumns))
    if by_column:
        planned = column_plan.plan_columns(batch)
        if planned is not None:
            return planned
    by_row = plan_rows([one.to_received() if isinstance(one, ReceivedColumns) else one for one in batch])
    return replace(by_row, by_reference=by_column)


def plan_rows(batch: Sequence[Received]) -> Plan:
    """Return the steps for events that are looked at one by one."""
    table = batch[0].table
    start, opening = _after_truncate(batch)
    steps: list[Step] = [] if opening is None else [Truncate(opening)]
    events = _events(batch, start)
    if not events.ops:
        return Plan(steps)
    if table.keyless:
        return Plan(steps + _net_effect(events))
    # Within a transaction two rows may share a deferrable key: only sources that send whole old rows have such tables.
    one_by_one = table.full_identity and not (events.only_creates and events.last[-1])
    if events.all_whole and not one_by_one:
        return Plan(steps + _last_images(table, events, emptied=opening is not None))
    rows = Rows(table, emptied=opening is not None)
    for change in map(Change._make, zip(*events, strict=True)):
        rows.take(change)
    return rows.plan(steps)


def _events(batch: Sequence[Received], start: int) -> _Events:
    return _Events(
        list(chain.from_iterable(r.ops for r in batch))[start:],
        list(chain.from_iterable(r.before for r in batch))[start:],
        list(chain.from_iterable(r.after for r in batch))[start:],
        list(chain.from_iterable(r.key_change for r in batch))[start:],
        list(chain.from_iterable(r.last for r in batch))[start:],
    )


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


def _last_images(table: TableSchema, events: _Events, *, emptied: bool) -> list[Step]:
    """Whole rows and deletes: by far the most frequent case, and the bulk of every snapshot."""
    images = [before if after is None else after for before, after in zip(events.before, events.after, strict=True)]
    newest = dict(zip(_keys(table, images), events.after, strict=True))
    if events.only_creates:
        return [Upsert(list(newest.values()), created=True)]  # type: ignore[arg-type]  # a create has a new row
    keys = sorted(newest)
    gone = [key for key in keys if newest[key] is None and not emptied]
    rows: list[FullRow] = [row for key in keys if (row := newest[key]) is not None]  # type: ignore[misc]  # all whole
    born = frozenset[Key]() if emptied else _born(table, events, images)
    new = [row for key in keys if key in born and (row := newest[key]) is not None]
    steps: list[Step] = [Delete(gone)] if gone else []
    if len(new) < column_plan.WORTH_COPYING:
        return [*steps, Upsert(rows, created=False)] if rows else steps
    steps.append(Upsert(new, created=True))  # type: ignore[arg-type]  # all whole
    rest = [row for key in keys if key not in born and (row := newest[key]) is not None]
    return [*steps, Upsert(rest, created=False)] if rest else steps  # type: ignore[arg-type]  # all whole


def _born(table: TableSchema, events: _Events, images: list[Row | None]) -> frozenset[Key]:
    """Return the keys that most likely did not exist before these events: the first of each is a create."""
    keys = _keys(table, images)
    first = dict(zip(reversed(keys), reversed(events.ops), strict=True))
    return frozenset(key for key, op in first.items() if op in _CREATES)


def _keys(table: TableSchema, images: list[Row | None]) -> list[Key]:
    """Return the key columns of each image; raises ContractError when one was not sent."""
    try:
        columns = [[image[i] for image in images] for i in table.key]  # type: ignore[index]  # None is caught below
    except TypeError:
        columns = [[None]]
    if any(set(map(type, column)) != {bytes} for column in columns):
        raise ContractError(f"an event of {table.namespace}.{table.name} came without its key")
    return list(zip(*columns, strict=True))


def _net_effect(events: _Events) -> list[Step]:
    if events.only_creates:
        return [Insert([_image(row, None) for row in events.after])]
    net: Counter[FullRow] = Counter()
    for op, before, after in zip(events.ops, events.before, events.after, strict=True):
        if op in (Op.UPDATE, Op.DELETE):
            net[_image(before, None)] -= 1
        if op is not Op.DELETE:
            net[_image(after, before)] += 1
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
    return row  # type: ignore[return-value]  # the check above is what the type cannot say
