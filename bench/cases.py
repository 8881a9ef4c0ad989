"""The cases that move a known number of rows: what is prepared, what runs, when it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from bench import limits, standard
from bench.result import Figures
from bench.rig import Topic, wait_applied
from bench.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.result import Result
    from bench.rig import Daemon, Pipeline, Rig

SUBJECT = "ferryman"
#: Messages for each change of the mix: a delete is followed by its tombstone.
_MESSAGES_PER_CHANGE = 1.1


def snapshot(rig: Rig, result: Result, rows: int) -> None:
    """Measure table -> topic: the rows that are there when capture starts."""
    pipeline = rig.pipeline()
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        standard.create(connection, rows)
    result.add(SUBJECT, _captured(pipeline, rows, rows, start=0))
    result.limits = [limits.copy_out(pipeline, rows)]
    pipeline.drop()


def stream(rig: Rig, result: Result, rows: int) -> None:
    """Measure slot -> topic: a backlog of changes that waits when capture starts."""
    pipeline = rig.pipeline()
    topic_end = _prepare_backlog(pipeline, rows)
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        slot = f"ferryman_{pipeline.name}"
        connection.execute("SELECT pg_copy_logical_replication_slot(%s, 'bench_limit')", (slot,))
        position = _one(connection, "SELECT pg_current_wal_flush_lsn()::text")
    messages = int(rows * _MESSAGES_PER_CHANGE)
    result.add(SUBJECT, _captured(pipeline, rows, messages, start=topic_end))
    result.limits = [limits.logical(pipeline, "bench_limit", position, rows)]
    pipeline.drop()


def apply_load(rig: Rig, result: Result, rows: int) -> None:
    """Measure topic -> empty target: the events of a snapshot."""
    pipeline = rig.pipeline()
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        standard.create(connection, rows)
    end = _fill(pipeline, rows + 1)
    result.add(SUBJECT, _applied(pipeline, rows, rows, end=end))
    _expect(pipeline, rows)
    result.limits = limits.copy_in(pipeline, rows)
    pipeline.drop()


def apply_changes(rig: Rig, result: Result, rows: int) -> None:
    """Measure topic -> target that holds rows already: the events of a backlog of changes."""
    pipeline = rig.pipeline()
    start = _prepare_backlog(pipeline, rows)
    _run(pipeline, "apply", lambda apply: wait_applied(pipeline, start - 1, apply))
    messages = int(rows * _MESSAGES_PER_CHANGE)
    end = _fill(pipeline, start + messages)
    result.add(SUBJECT, _applied(pipeline, rows, messages, end=end))
    _expect(pipeline, rows // 2 + rows // 2 - rows // 10)
    result.limits = limits.copy_in(pipeline, rows // 10 * 9)[::-1]
    pipeline.drop()


CASES: dict[str, Callable[[Rig, Result, int], None]] = {
    "snapshot": snapshot,
    "stream": stream,
    "apply-load": apply_load,
    "apply-changes": apply_changes,
}


def _prepare_backlog(pipeline: Pipeline, rows: int) -> int:
    """Make a pipeline that is caught up and stopped, then the changes; return where the topic ends."""
    base = rows // 2
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        standard.create(connection, base)
        end = _fill(pipeline, base + 1)
        standard.change(connection, rows, base)
    return end


def _fill(pipeline: Pipeline, end: int) -> int:
    """Let capture fill the topic up to offset ``end``, and end it in good order, so that its position is saved."""
    topic = Topic(pipeline.kafka, pipeline.topic)
    _run(pipeline, "capture", lambda capture: topic.wait(end - 1, capture))
    topic.close()
    return end


def _run(pipeline: Pipeline, command: str, until: Callable[[Daemon], object]) -> None:
    daemon = pipeline.daemon(command)
    until(daemon)
    time.sleep(1)  # until what was done is noted: the table is loaded, the offset is committed
    daemon.stop()


def _captured(pipeline: Pipeline, rows: int, messages: int, *, start: int) -> Figures:
    """Run capture until the topic holds so many messages more than at ``start``."""
    topic = Topic(pipeline.kafka, pipeline.topic)
    daemon = pipeline.daemon("capture")
    usage = Usage(daemon.pid).start()
    began = topic.wait(start, daemon)
    before = topic.end() - start
    ended = topic.wait(start + messages - 1, daemon)
    figures = _figures(usage, rows, began, ended, share=1 - before / messages)
    daemon.stop()
    topic.close()
    return figures


def _applied(pipeline: Pipeline, rows: int, messages: int, *, end: int) -> Figures:
    """Run apply until its checkpoint is at ``end``, so many messages after where it stood."""
    with psycopg.connect(pipeline.target, autocommit=True) as connection:
        start = pipeline.checkpoint(connection)
        daemon = pipeline.daemon("apply")
        usage = Usage(daemon.pid).start()
        began = wait_applied(pipeline, start, daemon)
        before = pipeline.checkpoint(connection) - start
    ended = wait_applied(pipeline, end - 1, daemon)
    figures = _figures(usage, rows, began, ended, share=1 - before / messages)
    daemon.stop()
    return figures


def _figures(usage: Usage, rows: int, began: float, ended: float, *, share: float) -> Figures:
    """Return the figures; the rate is that of the ``share`` of the rows that was left when the clock started."""
    cpu_s, peak_mb = usage.stop()
    return Figures(rows * share / (ended - began), cpu_s * 1e6 / rows, peak_mb)


def _expect(pipeline: Pipeline, rows: int) -> None:
    with psycopg.connect(pipeline.target) as connection:
        found = int(_one(connection, f"SELECT count(*)::text FROM {standard.TABLE}"))
    assert found == rows, f"the target has {found} rows, not {rows}"


def _one(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])
