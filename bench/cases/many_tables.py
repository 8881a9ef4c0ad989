"""A thousand tables with ten changes each per second, while everything runs: is it kept up with, and at what cost?

The peer writes JSON here: its Avro would need each table's schemas registered beforehand.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from bench import watch
from bench.databases import one
from bench.debezium.connectors import Format
from bench.quantiles import summary_ms
from bench.result import Figures
from bench.tables.many import ROWS_AT_A_TIME, Many
from bench.usage import Usage

if TYPE_CHECKING:
    from datetime import datetime

    from bench.process import Process
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.world import World

#: Every so many tables one is looked at for latencies.
_SAMPLE = 50


def run(rig: Rig, tables: int, seconds: int, result: Result, turn: int = 0) -> None:
    """Measure each subject in a world of its own, for so many seconds of changes."""
    for kind in rig.kinds(turn, formats=(Format.JSON,)):
        with rig.world(Many(tables)) as world:
            subject = kind(world)
            result.add(subject.name, _measure(world, Many(tables), subject, seconds), tables=tables)


def _measure(world: World, many: Many, subject: Subject, seconds: int) -> Figures:
    changes = many.count * ROWS_AT_A_TIME * seconds
    with (
        psycopg.connect(world.source, autocommit=True) as source,
        psycopg.connect(subject.target, autocommit=True) as target,
    ):
        many.create(source, 1)
        began = time.monotonic()
        processes = subject.pipeline()
        loaded_s = _wait(target, many, 1, processes) - began
        with Usage(*processes, from_now=True) as usage:
            many.change(source, seconds)
            _wait(target, many, 1 + ROWS_AT_A_TIME * seconds, processes)
        for process in processes:
            process.stop()
        figures = _figures(many, _commits(source, many), _commits(target, many), usage, changes)
        figures.extra["loaded_s"] = loaded_s
        return figures


def _wait(target: psycopg.Connection, many: Many, rows: int, processes: list[Process]) -> float:
    """Wait until every table has so many rows, and return when (monotonic seconds).

    Some tables are asked first, because to ask a thousand keeps a server busy.
    """
    found = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'many\\_%'"
    watch.wait(lambda: one(target, found) == str(many.count), f"{many.count} tables", *processes, look_s=0.5)
    seen = 0.0
    for step in (_step(many), 1):
        counts = many.every("SELECT count(*) AS n FROM {table}", step)
        complete = f"SELECT bool_and(n = {rows}) FROM ({counts}) s"
        seen = watch.wait(
            lambda query=complete: one(target, query) == "True", f"{rows} rows each", *processes, look_s=0.5
        )
    return seen


def _step(many: Many) -> int:
    return min(_SAMPLE, many.count)


def _commits(connection: psycopg.Connection, many: Many) -> dict[tuple[int, int], datetime]:
    """Return when the changes of some tables were committed on one side."""
    query = "SELECT id, pg_xact_commit_timestamp(xmin) FROM many_{number} WHERE id > 1"
    return {
        (number, key): when
        for number in range(0, many.count, _step(many))
        for key, when in connection.execute(query.format(number=number).encode()).fetchall()
    }


def _figures(
    many: Many,
    sent: dict[tuple[int, int], datetime],
    seen: dict[tuple[int, int], datetime],
    usage: Usage,
    changes: int,
) -> Figures:
    assert sent.keys() == seen.keys(), f"{many.count} tables: rows differ"
    lasted = (max(seen.values()) - min(sent.values())).total_seconds()
    sending = (max(sent.values()) - min(sent.values())).total_seconds()
    extra = summary_ms([(seen[key] - sent[key]).total_seconds() for key in sent]) | {
        "sent_per_s": round(changes / sending),
        "peak_rss_mb_by_process": {name: round(peak) for name, peak in usage.peaks_mb.items()},
    }
    return Figures(changes / lasted, usage.cpu_s * 1e6 / changes, usage.peak_mb, extra)
