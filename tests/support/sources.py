"""Short words for what tests do with any source."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from capture.source import ChunkRequest, Source
from schemas.event import ChangeEvent, events
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from capture.source import Batch, ChunkRead, FoundTable, Resume
    from schemas.block import Row

S = TypeVar("S", bound=Source)


def identity_of(source: Source) -> dict[str, Any]:
    """The identity that a source finds, without streaming."""
    try:
        return source.prepare()
    finally:
        source.close()


@contextmanager
def started(source: S, resume: Resume | None = None, identity: dict[str, Any] | None = None) -> Iterator[S]:
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


def chunk_rows(source: Source, chunk: ChunkRead) -> list[Row]:
    """The rows of a chunk, in source form."""
    return [row for images in source.images(chunk) for row in images.rows()]


def snapshot(source: Source, table: FoundTable, spool: Path) -> list[Row]:
    """All rows of a table, chunk by chunk."""
    plan, chunks, _rows = source.plan(table)
    return [
        row for index in range(chunks) for row in chunk_rows(source, read_chunk(source, table, spool, index, plan=plan))
    ]
