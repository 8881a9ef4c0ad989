"""The simulated systems around a capture daemon: source, chunk workers, producer, topics of its own, and a consumer.

Each holds on to its :class:`tests.support.sim_capture.World`, which decides by chance what happens next.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

from capture.publisher import DeliveryFailed
from capture.runs import Run, RunBuilder
from capture.source import Batch, ChunkRead, FoundTable
from schemas.block import Block, Op, Transaction
from schemas.columnar.block import columns, rows_of
from schemas.control import ControlRecord
from schemas.event import events
from schemas.order import OrderKey
from schemas.positions import Positions, StartRecord, encode
from tests.support.sim_database import CHUNKS, TABLES, change, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.table import TableSchema
    from tests.support.sim_capture import World

#: Log positions: commits are this far apart, and the end of one is the commit position of the next (rule 12).
STEP = 10


class Broken(AssertionError):
    """A promise did not hold."""


class Killed(Exception):
    """The capture daemon died here."""


class Event(NamedTuple):
    """One message of a table's topic."""

    order: OrderKey
    op: Op
    before: tuple | None
    after: tuple | None
    last: bool
    half: bool = False


class View(NamedTuple):
    """What a chunk's snapshot saw."""

    seen: frozenset
    oldest: int

    def includes(self, transaction: Transaction) -> bool:
        return int(transaction.id) in self.seen

    def after(self, fence: dict) -> bool:
        return self.oldest > fence["xid"]


def _block(run: Run) -> Block:
    """The rows of a run as a block."""
    ops, before, after = zip(*run.rows, strict=True)
    return Block(
        run.version, run.transactions, ops=list(ops), tx=run.tx().tolist(), ordinals=run.ordinals().tolist(),
        before=list(before), after=list(after), last=run.last().tolist(),
        key_change=[_key_changed(run.version, *images) for images in zip(before, after, strict=True)],
    )  # fmt: skip


def _key_changed(table, before, after) -> bool:
    return before is not None and after is not None and any(before[i] != after[i] for i in table.key)


class SimSource:
    def __init__(self, world: World) -> None:
        self.world, self.db = world, world.db
        self.builder = RunBuilder()
        self.index = self.row = 0
        self.resume = STEP
        self.contents: dict[Path, list] = {}

    def prepare(self) -> dict:
        return {"name": "sim"}

    def tables(self) -> list[FoundTable]:
        return [FoundTable(t, "s", t, {}, t == "u") for t in sorted(self.world.wanted)]

    def schema(self, table: FoundTable):
        return TABLES[table.table]

    def publish(self, tables: list[FoundTable]) -> bool:
        changed = self.world.adding - self.db.published
        self.db.published |= self.world.adding
        return bool(changed)

    def start(self, resume: dict | None, identity: dict) -> None:
        self.resume = resume["lsn"] if resume else STEP
        if self.resume < self.world.confirmed:
            raise Broken(f"the log before {self.world.confirmed} is gone, but the saved position is {self.resume}")
        self.index = self.resume // STEP - 1

    def read(self, max_rows: int, max_wait_s: float) -> Batch:
        self.world.go_on()
        at = None
        for _ in range(self.world.rng.choice([0, 1, 1, 2, 6])):
            at = self._one(at)
        return Batch([_block(run) for run in self.builder.take()], at, {"lsn": self.resume}, self.builder.between)

    def _one(self, at: Transaction | None) -> Transaction | None:
        """A transaction, or some of its rows: a large one is handed over in parts."""
        if self.index >= len(self.db.log):
            return at
        xid, rows = self.db.log[self.index]
        if self.row == 0 and self.builder.between:
            self.builder.begin(Transaction((self.index + 1) * STEP, 0, str(xid)))
            self.world.note_tx(xid)
        transaction = Transaction((self.index + 1) * STEP, 0, str(xid))
        until = len(rows) if self.world.rng.random() < 0.7 else self.world.rng.randint(self.row, len(rows))
        for row in rows[self.row : until]:
            if row.published:
                self.builder.sink(row.table, TABLES[row.table])((row.op, row.before, row.after))
        self.row = until
        if until == len(rows):
            self.builder.commit()
            self.index, self.row = self.index + 1, 0
            self.resume = (self.index + 1) * STEP
        return transaction

    def confirm(self, resume: dict) -> None:
        self.world.confirmed = max(self.world.confirmed, resume["lsn"])
        self.world.go_on()

    def keep_alive(self) -> None:
        self.world.silence = 0

    def now(self) -> dict:
        return {"lsn": (len(self.db.log) + 1) * STEP}

    def reached(self) -> dict:
        return {"lsn": self.resume}

    def passed(self, mark: dict) -> bool:
        return self.resume >= mark["lsn"]

    def fence(self) -> dict:
        self.db.xid += 1
        self.db.over.add(self.db.xid)
        self.db.visible.add(self.db.xid)
        return {"xid": self.db.xid}

    def lag_bytes(self) -> int | None:
        return None

    def retained_bytes(self) -> int | None:
        return None

    def settled(self, fence: dict) -> bool:
        return self.world.rng.random() < 0.9

    def plan(self, table: FoundTable) -> tuple[dict, int, int | None]:
        return {"node": self.db.node[table.table]}, CHUNKS[table.table], None

    def connection(self):
        return None

    def images(self, chunk: ChunkRead):
        rows = self.contents[chunk.path]
        for at in range(0, len(rows), 2):
            yield columns(list(rows[at : at + 2]))

    def close(self) -> None:
        self.world.pool_locks_released()


class SimPool:
    """Workers whose every step (lock and snapshot, read, log position) waits for its turn."""

    def __init__(self, world: World, source: SimSource) -> None:
        self.world, self.db, self.source = world, world.db, source
        self.tickets = 0
        self.work: dict[int, SimpleNamespace] = {}
        self.done: list = []

    def free(self) -> int:
        return 3 - len(self.work)

    def ask(self, request) -> int:
        self.tickets += 1
        self.work[self.tickets] = SimpleNamespace(
            request=request, seen=None, rows=None, node=None, who=f"w{self.tickets}"
        )
        return self.tickets

    def finished(self) -> list:
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        for work in self.work.values():
            self.db.unlock(work.who)
        self.work.clear()

    def step(self) -> None:
        if not self.work:
            return
        ticket = self.world.rng.choice(sorted(self.work))
        work = self.work[ticket]
        table = work.request.table.table
        if work.seen is None:
            if self.db.lock(table, work.who, "A"):
                work.seen = self.db.snapshot()
                work.oldest = min([x for x in self.db.running if x not in work.seen], default=self.db.xid + 1)
                if table != "u" and table == "a" and not work.request.keys:
                    work.node = work.request.plan["node"] != self.db.node[table]
        elif work.rows is None:
            work.rows = [v.row for v in self.db.read(table, work.seen) if self._wanted(table, v, work.request)]
            self.world.rng.shuffle(work.rows)
        else:
            self._finish(ticket, work, table)

    def _wanted(self, table: str, version, request) -> bool:
        if request.keys:
            return tuple(k.decode() for k in key_of(table, version.row)) in request.keys
        if table == "a":
            return version.page // 2 == request.index
        return table == "u" or int(version.row[0]) == request.index

    def _finish(self, ticket: int, work: SimpleNamespace, table: str) -> None:
        upto = {"lsn": (len(self.db.log) + 1) * STEP}
        self.db.unlock(work.who)
        del self.work[ticket]
        path = Path(f"/nowhere/{id(self)}-{ticket}")
        self.source.contents[path] = work.rows
        view = View(work.seen, work.oldest)
        self.done.append((ticket, ChunkRead(TABLES[table], view, upto, len(work.rows), path, stale=bool(work.node))))


class SimPublisher:
    """A producer whose messages lie in a queue for each topic until some prefix of it arrives."""

    rows = reference_rows = 0

    def __init__(self, world: World) -> None:
        self.world = world
        self.queues: dict[str, list[Event]] = defaultdict(list)

    def ensure_topics(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.queues[topic]
        self.world.silence += 1
        self.world.counts["longest silence"] = max(self.world.counts["longest silence"], self.world.silence)

    def announce(self, versions: Iterable[tuple[str, TableSchema]]) -> None:
        self.world.go_on()

    def publish(self, topic: str, block: Block) -> None:
        self.queues[topic] += expand(rows_of(block))
        self.world.go_on()
        self._arrive(everything=self.world.rng.random() < 0.3)

    def delivered(self) -> bool:
        self.world.go_on()
        self._arrive(everything=self.world.rng.random() < 0.5)
        return not any(self.queues.values())

    def flush(self) -> None:
        self.world.go_on()
        if self.world.rng.random() < self.world.rewinds:
            raise DeliveryFailed("simulated")
        self._arrive(everything=True)

    def _arrive(self, *, everything: bool) -> None:
        for topic, queue in self.queues.items():
            n = len(queue) if everything else self.world.rng.randint(0, len(queue))
            for event in queue[:n]:
                self.world.append(topic, event, self.world.current_run)
            del queue[:n]

    def close(self) -> None:
        """A random prefix still arrives; some of the rest lands late, after the successor has started."""
        self._arrive(everything=False)
        late = {topic: queue for topic, queue in self.queues.items() if queue and self.world.rng.random() < 0.3}
        if late:
            self.world.late.append(late)


class SimPositions:
    """The positions topic; a late save of a run that ended may land after its successor's start record."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.run = 0
        self.under_way: list[tuple[bytes, bytes]] = []

    def standing(self) -> Positions:
        return self.world.positions()

    def begin(self) -> Positions:
        self.world.records.append(encode(StartRecord(f"r{len(self.world.records)}", "sim", 0)))
        self.run = self.world.current_run = len(self.world.records)
        standing = self.world.positions().succeeded_by(self.run)
        self.world.records += [encode(record) for record in standing.records()]
        return standing

    def save(self, tables, stream) -> None:
        assert not self.under_way, "one save at a time"
        self.under_way = [encode(record) for record in [*tables, stream]]
        self.world.go_on()

    def is_saved(self) -> bool:
        self.world.go_on()
        if self.world.rng.random() < 0.5:
            self._arrive(len(self.under_way))
        return not self.under_way

    def settle(self) -> None:
        self.world.go_on()
        self._arrive(len(self.under_way))

    def _arrive(self, count: int) -> None:
        self.world.records += self.under_way[:count]
        del self.under_way[:count]

    def close(self) -> None:
        """What is under way arrives late, or not at all."""
        if self.under_way and self.world.rng.random() < 0.5:
            self.world.late_saves.append(self.under_way)


class SimControl:
    def __init__(self, world: World, offset: int) -> None:
        self.world, self.offset = world, offset

    def poll(self) -> list[ControlRecord]:
        new = self.world.requests[self.offset :]
        self.offset += len(new)
        return new

    def close(self) -> None:
        pass


def expand(block: Block) -> list[Event]:
    """What the codec makes of a block: two events of a key change (the first does nothing), one of anything else."""
    out = []
    for e in events(block):
        if e.key_change:
            out.append(Event(e.order, Op.DELETE, e.before, None, last=False, half=True))
            order = e.order._replace(ordinal=e.order.ordinal + 1)
            out.append(Event(order, Op.CREATE, e.before, e.after, e.last))
        else:
            out.append(Event(e.order, e.op, e.before, e.after, e.last))
    return out


class Target:
    """One table's consumer: checkpoint (offset, high-water mark) and contents, moved together."""

    def __init__(self, table: str) -> None:
        self.table, self.offset, self.mark = table, 0, OrderKey(0, 0, 0, 0)
        self.state = Counter() if table == "u" else {}

    def apply(self, topic: list[Event], limit: int, rng: random.Random) -> None:
        """Take in a batch; commit at the last end mark in it."""
        state = type(self.state)(self.state)
        mark, best = self.mark, None
        for i in range(self.offset, min(len(topic), self.offset + limit)):
            event = topic[i]
            if event.order > mark or mark == OrderKey(0, 0, 0, 0):
                mark = event.order
                if not event.half:
                    change(state, self.table, event.op, event.before, event.after)
                ended = event.last
            else:
                ended = mark == self.mark
            if ended and rng.random() < 0.7:
                best = (i + 1, mark, type(state)(state))
        if best is not None:
            self.offset, self.mark, self.state = best
