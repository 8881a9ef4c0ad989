"""Commit at the source -> visible in the target, while single-row transactions come at a steady rate."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg

from bench import pace, watch
from bench.quantiles import summary_ms
from bench.result import Figures
from bench.tables.standard import Standard
from bench.usage import Usage

if TYPE_CHECKING:
    from bench.process import Process
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.world import World

#: Changes a second.
RATES = (100, 2_000)
#: Rows that are there at the start, and the seconds of changes before the clock runs: a JVM must warm up.
_BASE = 1_000
_WARM_UP_S = 10


def run(rig: Rig, result: Result, seconds: int, turn: int = 0) -> None:
    """Measure each rate with each subject for so many seconds, each in a world of its own."""
    for rate in RATES:
        for kind in rig.kinds(turn, rig.applied_formats):
            with rig.world(Standard()) as world:
                subject = kind(world)
                result.add(subject.name, _measure(world, subject, rate, seconds), changes_per_s=rate)


def _measure(world: World, subject: Subject, rate: int, seconds: int) -> Figures:
    with psycopg.connect(world.source, autocommit=True) as connection:
        world.table.create(connection, _BASE)
        pace.prepare(connection)
        subject.announce()
        processes = subject.pipeline()
        _wait(subject, world, _BASE, processes)
        pace.insert(connection, _BASE + 1, rate * _WARM_UP_S, rate)
        first = _BASE + 1 + rate * _WARM_UP_S
        with ExitStack() as watched:
            usage = watched.enter_context(Usage(*processes, from_now=True))
            pace.insert(connection, first, rate * seconds, rate)
            _wait(subject, world, first - 1 + rate * seconds, processes)
    for process in processes:
        process.stop()
    return _figures(world, subject, usage, first, first - 1 + rate * seconds)


def _wait(subject: Subject, world: World, rows: int, processes: list[Process]) -> None:
    with watch.Target(subject.target, world.table) as target:
        target.wait_any(f"id = {rows}", *processes)
        target.wait_rows(rows, *processes)


def _figures(world: World, subject: Subject, usage: Usage, first: int, last: int) -> Figures:
    sent, seen = pace.commits(world.source, first, last), pace.commits(subject.target, first, last)
    changes = last - first + 1
    assert len(sent) == len(seen) == changes, f"{len(sent)} rows at the source, {len(seen)} in the target"
    latencies = [(seen[key] - sent[key]).total_seconds() for key in sent]
    lasted = (max(seen.values()) - min(sent.values())).total_seconds()
    sending = (max(sent.values()) - min(sent.values())).total_seconds()
    extra = summary_ms(latencies) | {
        "sent_per_s": round(changes / sending),
        "peak_rss_mb_by_process": {name: round(peak) for name, peak in usage.peaks_mb.items()},
    }
    return Figures(changes / lasted, usage.cpu_s * 1e6 / changes, usage.peak_mb, extra)
