"""What the engine does with a chunk that does not agree with the stream (docs/snapshot-merge.md, rule 5)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from capture.engine import Engine
from capture.snapshot.numbering import Standing
from capture.source import Batch, ChunkRead, ChunkRequest, FoundTable
from capture.tables import TableState
from schemas.block import Op, Transaction
from schemas.positions import Phase, TableRecord
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.blocks import BlockBuilder

TEXT = ValueType(Kind.STRING)
OLD = TableSchema("s", "t", (Column("k", TEXT, key_position=1), Column("v", TEXT)))
NEW = replace(OLD, columns=(*OLD.columns, Column("w", TEXT)))


class SawNothing:
    """The view of a chunk that was read before the transactions of these tests, and after its fence."""

    def includes(self, _transaction: Transaction) -> bool:
        return False

    def after(self, _fence: object) -> bool:
        return True


@dataclass
class Pool:
    """Workers that bring what a test puts into ``ready``."""

    asked: list[ChunkRequest] = field(default_factory=list)
    ready: list[tuple[int, Any]] = field(default_factory=list)

    def free(self) -> int:
        return 1

    def ask(self, request: ChunkRequest) -> int:
        self.asked.append(request)
        return len(self.asked)

    def finished(self) -> list[tuple[int, Any]]:
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None:
        """Nothing to end."""


def loading(pool: Pool) -> Engine:
    """Return an engine with one table of one chunk that is loading; the stream has passed every place."""
    source: Any = SimpleNamespace(
        fence=dict, settled=lambda _: True, passed=lambda _: True, connection=lambda: None, images=lambda _: ()
    )
    plan = {"plan": {}, "chunks": 1}
    record = TableRecord(1, "s.t", "p.s.t", phase=Phase.SNAPSHOTTING, plan=plan)
    state = TableState(record, FoundTable("s.t", "s", "t", {}, keyless=False), saved=True)
    engine = Engine(source, pool, Standing(0, 1, Transaction(1, 0, "1")), {"s.t": state}, Path())
    engine.begin()
    return engine


def update(table: TableSchema) -> Batch:
    """Return a transaction that patches a row, under a version of the table."""
    rows, transaction = BlockBuilder(), Transaction(2, 0, "2")
    rows.begin(transaction)
    rows.row(table, Op.UPDATE, None, (b"a", *[b"new"] * (len(table.columns) - 1)))
    rows.commit()
    return Batch(list(rows.take()), transaction, {}, between=True)


def publish(engine: Engine, pool: Pool, stream: Batch, chunk: TableSchema) -> Engine:
    """Have the chunk read before a transaction and come in after it."""
    list(engine.advance())
    list(engine.absorb(stream))
    pool.ready.append((1, ChunkRead(chunk, SawNothing(), {}, 1, None)))
    list(engine.advance())
    return engine


def test_a_chunk_of_older_columns_than_an_unseen_event_is_read_again() -> None:
    pool = Pool()
    engine = publish(loading(pool), pool, update(NEW), OLD)
    assert len(pool.asked) == 2
    assert engine.busy


def test_a_chunk_of_the_same_columns_as_an_unseen_event_is_published() -> None:
    pool = Pool()
    engine = publish(loading(pool), pool, update(NEW), NEW)
    assert len(pool.asked) == 1
    assert not engine.busy


def test_tables_that_open_together_are_fenced_and_settled_with_one_question_each() -> None:
    asked, pool = list[str](), Pool()
    source: Any = SimpleNamespace(
        fence=lambda: asked.append("fence") or {"xid": len(asked)},
        settled=lambda _: asked.append("settled"),
        passed=lambda _: True,
        now=dict,
        schema=lambda found: replace(OLD, name=found.table),
        keep_alive=lambda: None,
    )
    tables = {
        name: TableState(TableRecord(1, name, name), FoundTable(name, "s", name, {}, keyless=False), saved=True)
        for name in ("a", "b", "c")
    }
    engine = Engine(source, pool, Standing(0, 1, Transaction(1, 0, "1")), tables, Path())
    engine.begin()
    asked.clear()

    opened = [block.table.name for block in engine.advance()]

    assert opened == ["a", "b", "c"]
    assert asked == ["fence", "settled"]
    assert pool.asked == []
