"""A PostgreSQL source for tests against a real server: a database, a source over it, and short words for both."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from capture.source import ChunkRequest
from capture.sources.postgres.source import PostgresSource
from runtime.config import Owned, Selection, SourceConfig
from schemas.event import ChangeEvent, events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from capture.source import Batch, ChunkRead, FoundTable, Resume, Source
    from schemas.block import Row

#: A stream that does not come to its mark within this is stuck.
PATIENCE_S = 30.0


class Database:
    """One source database; ``url`` is its owner's."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.conn = psycopg.connect(url, autocommit=True)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.conn.execute(statement.encode())

    def value(self, query: str) -> Any:
        row = self.conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def config(self, **settings: Any) -> SourceConfig:
        given = {"url": self.url, "slot": Owned(name=self.name), "publication": Owned(name=self.name), **settings}
        return SourceConfig(type="postgresql", **given)

    def source(self, *, include: str = "public.*", **settings: Any) -> PostgresSource:
        return PostgresSource(self.name, self.config(**settings), Selection.model_validate([{"include": include}]))

    def second(self) -> psycopg.Connection[Any]:
        """Another session, with a transaction that stays open."""
        return psycopg.connect(self.url)


@contextmanager
def started(
    source: PostgresSource, resume: Resume | None = None, identity: dict[str, Any] | None = None
) -> Iterator[PostgresSource]:
    """Run a source as capture does: prepare, start, publish what can be published."""
    try:
        now = source.prepare()
        source.start(resume, identity if identity is not None else now)
        source.publish([table for table in source.tables() if table.reason is None])
        yield source
    finally:
        source.close()


def read_all(source: Source) -> Batch:
    """Read until everything committed so far has come; return it as one batch."""
    mark, deadline = source.now(), time.monotonic() + PATIENCE_S
    blocks, lost = [], {}
    while True:
        batch = source.read(10_000, 0.1)
        blocks += batch.blocks
        lost |= batch.lost
        if source.passed(mark):
            return type(batch)(blocks, batch.at, batch.resume, batch.between, lost)
        assert time.monotonic() < deadline, "the stream does not come to its mark"


def changes(batch: Batch, table: str | None = None) -> list[ChangeEvent]:
    """The rows of a batch, of one table or all."""
    return [event for block in batch.blocks for event in events(block) if table in (None, block.table.name)]


def found(source: Source, name: str) -> FoundTable:
    return next(table for table in source.tables() if table.table == name)


def read_chunk(
    source: Source, table: FoundTable, spool: Path, index: int = 0, *, plan: Any = None, keys: Any = ()
) -> ChunkRead:
    plan = plan if plan is not None else source.plan(table)[0]
    return source.chunk_reader()(ChunkRequest(source.connection(), table, plan, index, keys, spool))


def snapshot(source: Source, table: FoundTable, spool: Path) -> list[Row]:
    """All rows of a table, chunk by chunk."""
    plan, chunks, _rows = source.plan(table)
    return [
        row for index in range(chunks) for row in source.rows(read_chunk(source, table, spool, index, plan=plan))
    ]
