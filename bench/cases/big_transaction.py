"""One transaction of very many rows, while everything runs: from its commit until all of it is in the target."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from bench import watch
from bench.result import Figures
from bench.tables.standard import Standard
from bench.usage import Usage

if TYPE_CHECKING:
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.world import World

_BASE = 1_000


def run(rig: Rig, rows: int, result: Result, turn: int = 0) -> None:
    """Measure each subject in a world of its own."""
    for kind in rig.kinds(turn, rig.applied_formats):
        with rig.world(Standard()) as world:
            subject = kind(world)
            result.add(subject.name, _measure(world, subject, rows))


def _measure(world: World, subject: Subject, rows: int) -> Figures:
    with psycopg.connect(world.source, autocommit=True) as connection:
        world.table.create(connection, _BASE)
        subject.announce()
        processes = subject.pipeline()
        with watch.Target(subject.target, world.table) as target:
            target.wait_rows(_BASE, *processes)
            with Usage(*processes, from_now=True) as usage:
                world.table.insert(connection, _BASE + 1, _BASE + rows)
                committed = time.monotonic()
                first = target.wait_any(f"id > {_BASE}", *processes)
                target.wait_any(f"id = {_BASE + rows}", *processes)
                ended = target.wait_rows(_BASE + rows, *processes)
    for process in processes:
        process.stop()
    extra = {
        "seconds_to_first_row": round(first - committed, 2),
        "seconds": round(ended - committed, 2),
        "peak_rss_mb_by_process": {name: round(peak) for name, peak in usage.peaks_mb.items()},
    }
    return Figures(rows / (ended - committed), usage.cpu_s * 1e6 / rows, usage.peak_mb, extra)
