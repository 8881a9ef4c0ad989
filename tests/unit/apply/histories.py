"""Random histories of one source table, the events that capture makes of them, and a row-by-row reading of those."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from schemas.block import UNSENT, Op, Origin, Row
from schemas.order import OrderKey
from schemas.received import Received
from schemas.table import Column, Kind, TableSchema, ValueType

INT, TEXT = ValueType(Kind.INT32), ValueType(Kind.STRING)
KEYS = 4


def table(*, key: bool = True, full: bool = False) -> TableSchema:
    """(id, small, big): `big` is the column that updates leave out when they do not change it."""
    return TableSchema(
        "public",
        "t",
        (
            Column("id", INT, target_type="integer", key_position=1 if key else None, identity=full or key),
            Column("small", TEXT, target_type="text", identity=full),
            Column("big", TEXT, target_type="text", identity=full),
        ),
    )


@dataclass
class Event:
    op: Op
    before: Row | None
    after: Row | None
    last: bool = False
    key_change: bool = False
    origin: Origin = Origin.LOG


@dataclass
class History:
    """`events` as they stand in the topic; `states[i]` are the rows after the first i events, where last is set."""

    table: TableSchema
    start: list[tuple]
    events: list[Event] = field(default_factory=list)
    end: list[tuple] = field(default_factory=list)


def received(table: TableSchema, events: list[Event], offset: int = 0) -> Received:
    out = Received(table)
    for i, event in enumerate(events):
        out.ops.append(event.op)
        out.before.append(event.before)
        out.after.append(event.after)
        out.orders.append(OrderKey(0, 1, 0, offset + i).pack())
        out.last.append(event.last)
        out.key_change.append(event.key_change)
        out.origins.append(event.origin)
        out.committed_us.append(0)
        out.offsets.append(offset + i)
    return out


def _num(n: int) -> bytes:
    return str(n).encode()


class _Source:
    """A table with one row per key at the end of each transaction; `deferred`: only there."""

    def __init__(self, draw, table: TableSchema, rows: list[tuple], *, deferred: bool) -> None:
        self.draw, self.table, self.deferred = draw, table, deferred
        self.rows = list(rows)
        self.n = 100
        self.tx: list[Event] = []

    def value(self) -> bytes | None:
        self.n += 1
        return None if self.draw(st.integers(0, 7)) == 0 else _num(self.n % 7 if not self.table.key else self.n)

    def old(self, row: tuple) -> Row:
        if self.table.full_identity:
            return row
        return tuple(v if c.identity else UNSENT for c, v in zip(self.table.columns, row, strict=True))

    def step(self) -> None:
        kind = self.draw(
            st.sampled_from(["insert", "insert", "full", "part", "part", "delete", "key", "key", "truncate"])
        )
        if kind == "truncate":
            if self.draw(st.booleans()):
                self.rows.clear()
                self.tx.append(Event(Op.TRUNCATE, None, None))
        elif kind == "insert":
            row = (_num(self.draw(st.integers(0, KEYS))), self.value(), self.value())
            if self.free(row[0]):
                self.rows.append(row)
                self.tx.append(Event(Op.CREATE, None, row))
        elif self.rows:
            self.change(kind, self.draw(st.integers(0, len(self.rows) - 1)))

    def free(self, key: bytes) -> bool:
        taken = sum(row[0] == key for row in self.rows)
        return not self.table.key or taken == 0 or (self.deferred and taken == 1)

    def change(self, kind: str, i: int) -> None:
        row = self.rows[i]
        if kind == "delete":
            del self.rows[i]
            self.tx.append(Event(Op.DELETE, self.old(row), None))
            return
        key = _num(self.draw(st.integers(0, KEYS))) if kind == "key" else row[0]
        if key != row[0] and not self.free(key):
            return
        keep_big = kind == "part" or (kind == "key" and self.draw(st.booleans()))
        new = (key, self.value(), row[2] if keep_big else self.value())
        sent = new if self.table.full_identity or not keep_big else (new[0], new[1], UNSENT)
        self.rows[i] = new
        if self.table.key and key != row[0]:
            self.tx.append(Event(Op.DELETE, self.old(row), None, key_change=True))
            self.tx.append(Event(Op.CREATE, self.old(row), sent, key_change=True))
        else:
            before = self.old(row) if self.table.full_identity else None
            self.tx.append(Event(Op.UPDATE, before, sent))

    def settled(self) -> bool:
        return not self.table.key or max(Counter(row[0] for row in self.rows).values(), default=0) <= 1


@st.composite
def histories(draw, *, key: bool = True, full: bool = False, deferred: bool = False) -> History:
    made = table(key=key, full=full)
    start = [(_num(i), b"s%d" % i, b"b%d" % i) for i in range(KEYS + 1) if draw(st.booleans())]
    source = _Source(draw, made, start, deferred=deferred)
    out = History(made, start)
    for _ in range(draw(st.integers(1, 6))):
        before = list(source.rows)
        for _ in range(draw(st.integers(1, 6))):
            source.step()
        if source.settled() and source.tx:
            source.tx[-1] = replace(source.tx[-1], last=True)
            out.events += source.tx
        else:
            source.rows = before
        source.tx = []
    out.end = list(source.rows)
    return out


def row_by_row(start: list[tuple], events: list[Event]) -> Counter:
    """The plainest reading of the events of a key that is never deferred, for rows by key or, without one, by image."""
    rows = {row[0]: row for row in start}
    for event in events:
        after = event.after
        if event.op is Op.TRUNCATE:
            rows.clear()
        elif event.op is Op.DELETE:
            if not event.key_change:
                rows.pop(event.before[0], None)
        else:
            base = rows.pop(event.before[0], None) if event.key_change else rows.get(after[0])
            if UNSENT in after:
                if base is None:
                    continue
                after = tuple(old if new is UNSENT else new for new, old in zip(after, base, strict=True))
            rows[after[0]] = after
    return Counter(rows.values())
