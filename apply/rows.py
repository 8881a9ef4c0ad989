"""The last state of each key that a batch touches, worked out event by event. Pure.

A *line* is one row of the source followed through the batch. Of a row that was in the target before the batch only
its key there is known (``base``) until an event sends the whole row; then ``base`` is None, and the row that it had
in the target counts as vacated: it is overwritten or deleted.

Deferrable keys: inside a transaction two lines may stand at one key. Only sources that send whole old rows can say
which of them an event means (PostgreSQL refuses a deferrable key as replica identity), so there the line whose values
match the old image is taken; everywhere else the newest line at a key is the only one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from apply.column_rows import FullRow
from apply.errors import Blocked
from apply.steps import Delete, Key, KeyUpdate, Patch, Plan, Step, Upsert
from schemas.block import UNSENT, Op, Row
from schemas.errors import ContractError

if TYPE_CHECKING:
    from schemas.table import TableSchema

#: Between batches the target has one row at a key, whatever the source's transaction is in the middle of.
CROWDED: Final = (
    "two rows share a deferrable key in the middle of a transaction that is larger than a batch",
    "raise apply.batch_rows above the transaction's number of rows",
)

#: Present keys and new values of rows, by the columns that were sent.
_Groups = defaultdict[tuple[int, ...], list[tuple[Key, FullRow]]]


class Change(NamedTuple):
    """One event as the planner sees it."""

    op: Op
    before: Row | None
    after: Row | None
    key_change: bool
    last: bool


class Line(NamedTuple):
    """A row followed through a batch: its key in the target if columns of it are only there, and what is known."""

    base: Key | None
    row: Row


class Rows:
    """Takes the events of one keyed table version in order; :meth:`plan` gives their net effect.

    ``emptied``: the target holds no rows of the table when the steps run. ``missing`` counts events that change part
    of a row which the batch itself removed or never saw made.
    """

    def __init__(self, table: TableSchema, *, emptied: bool) -> None:
        self.missing = 0
        self._table, self._emptied = table, emptied
        self._unknown: Row = (UNSENT,) * len(table.columns)
        self._lines: dict[Key, Line | None] = {}
        self._under: dict[Key, list[Line]] = {}
        self._vacated: set[Key] = set()
        self._several = table.full_identity

    def take(self, change: Change) -> None:
        """Take in one event; raises ContractError when it lacks its key or columns that it must have."""
        if change.op is Op.DELETE:
            # The delete half of a key change says nothing that its create half does not.
            if not change.key_change:
                self._vacate(self._pick(key_of(self._table, change.before), change.before))
        elif change.key_change:
            self._move(change)
        elif change.op is Op.UPDATE:
            self._update(change)
        else:
            self._create(change)
        if change.last and self._under:
            self._settle()

    def plan(self, before: list[Step]) -> Plan:
        """Return ``before`` and then deletes, key updates, upserts and patches: in this order, the net effect.

        Raises Blocked when two known rows still share a key, which they may not beyond one batch.
        """
        if any(line.base != key for key, lines in self._under.items() for line in lines):
            raise Blocked(*CROWDED)
        crowded = tuple(sorted(key for key, lines in self._under.items() if lines))
        self._settle()
        return Plan(before + self._steps(), self.missing, crowded)

    def _steps(self) -> list[Step]:
        upserts = {key: line.row for key, line in self._lines.items() if line is not None and line.base is None}
        deletes = sorted(self._vacated - upserts.keys())
        moves, patches = self._partial()
        steps: list[Step] = [Delete(deletes)] if deletes else []
        if moves:
            steps.append(KeyUpdate(tuple(moves), crossing=self._crossing()))
        if upserts:
            steps.append(Upsert([whole(self._table, upserts[key]) for key in sorted(upserts)], created=False))
        return [*steps, *patches]

    def _create(self, change: Change) -> None:
        key = key_of(self._table, change.after)
        line = Line(None, whole(self._table, change.after))
        if change.op is Op.READ or not self._several:
            self._vacate(self._at(key))
            self._lines[key] = line
        else:
            self._stack(key, line)

    def _update(self, change: Change) -> None:
        key = key_of(self._table, change.after)
        after = change.after or ()
        line = self._at(key)
        if UNSENT not in after and not self._under.get(key):
            self._vacate(line)
            self._lines[key] = Line(None, after)
            return
        line = self._pick(key, change.before)
        if line is None:
            self.missing += 1
        else:
            self._stack(key, self._overlaid(line, after))

    def _move(self, change: Change) -> None:
        old, new = key_of(self._table, change.before), key_of(self._table, change.after)
        after = change.after or ()
        line = self._pick(old, change.before)
        if line is not None:
            line = self._overlaid(line, after)
        elif UNSENT not in after:
            line = Line(None, after)
        else:
            self.missing += 1
            return
        if self._several:
            self._stack(new, line)
        else:
            # What the target has at the new key goes. A row untouched so far is not there: the source's key is free.
            standing = self._at(new) if line.base is None else self._lines.get(new)
            self._vacate(standing)
            self._lines[new] = line

    def _at(self, key: Key) -> Line | None:
        """Return the newest line at a key; one not touched before is the target's own row, if any."""
        if key in self._lines:
            return self._lines[key]
        return None if self._emptied else Line(key, self._unknown)

    def _pick(self, key: Key, before: Row | None) -> Line | None:
        """Take away and return the line at a key that an old image means."""
        newest = self._at(key)
        under = self._under.get(key)
        if under and before is not None and newest is not None and not _matches(newest.row, before):
            for i in range(len(under) - 1, -1, -1):
                if _matches(under[i].row, before):
                    self._lines[key] = newest
                    return under.pop(i)
        self._lines[key] = under.pop() if under else None
        return newest

    def _stack(self, key: Key, line: Line) -> None:
        """Put a line at a key where another may stand until the transaction ends."""
        standing = self._at(key)
        if standing is not None:
            self._under.setdefault(key, []).append(standing)
        self._lines[key] = line

    def _settle(self) -> None:
        """Forget lines under others: at a transaction's end a key has one row, so they are not there."""
        for lines in self._under.values():
            for line in lines:
                self._vacate(line)
        self._under.clear()

    def _overlaid(self, line: Line, after: Row) -> Line:
        row = after
        if line.row is not self._unknown:
            row = tuple([old if new is UNSENT else new for new, old in zip(after, line.row, strict=True)])
        if UNSENT in row:
            return Line(line.base, row)
        self._vacate(line)
        return Line(None, row)

    def _vacate(self, line: Line | None) -> None:
        """The target's row of a line is no longer needed where it is."""
        if line is not None and line.base is not None:
            self._vacated.add(line.base)

    def _partial(self) -> tuple[list[Patch], list[Patch]]:
        """Return the rows of which columns were not sent: those with a new key, and those without."""
        stay: _Groups = defaultdict(list)
        moved: _Groups = defaultdict(list)
        key_columns = frozenset(self._table.key)
        for key, line in self._lines.items():
            if line is None or line.base is None:
                continue
            sent = tuple([i for i, value in enumerate(line.row) if value is not UNSENT])
            if line.base == key:
                group, sent = stay, tuple([i for i in sent if i not in key_columns])
            else:
                group = moved
            if sent:
                values: FullRow = tuple([line.row[i] for i in sent])  # type: ignore[misc]  # UNSENT is left out
                group[sent].append((line.base, values))
        return _patches(moved), _patches(stay)

    def _crossing(self) -> bool:
        moved = [(key, line.base) for key, line in self._lines.items() if line is not None and line.base is not None]
        left = {base for key, base in moved if base != key}
        return any(key in left for key, base in moved if base != key)


def _patches(groups: _Groups) -> list[Patch]:
    patches = []
    for columns in sorted(groups):
        rows = sorted(groups[columns], key=lambda row: row[0])
        patches.append(Patch(columns, [key for key, _ in rows], [values for _, values in rows]))
    return patches


def _matches(row: Row, image: Row) -> bool:
    """Whether a line may be the row that an old image shows; what is not known or not sent fits anything."""
    return all(a is UNSENT or b is UNSENT or a == b for a, b in zip(row, image, strict=True))


def whole(table: TableSchema, row: Row | None) -> FullRow:
    """Return a row image that must be complete; raises ContractError when it is not."""
    if row is None or UNSENT in row:
        raise ContractError(f"an insert into {table.namespace}.{table.name} came without all its columns")
    return row  # type: ignore[return-value]  # the check above is what the type cannot say


def key_of(table: TableSchema, row: Row | None) -> Key:
    """Return the key columns of a row image; raises ContractError when they were not all sent."""
    if row is not None:
        key = tuple([row[i] for i in table.key])
        if all([type(value) is bytes for value in key]):  # noqa: C419 - twice as fast, on every event
            return key  # type: ignore[return-value]  # every value was checked
    raise ContractError(f"an event of {table.namespace}.{table.name} came without its key")
