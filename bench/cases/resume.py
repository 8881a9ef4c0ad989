"""kill -9 of everything that replicates -> the first row visible in the target that was committed after the kill."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg

from bench import pace, watch
from bench.result import Figures
from bench.tables.standard import Standard
from bench.usage import Usage

if TYPE_CHECKING:
    from bench.process import Process
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.world import World

_BASE = 1_000
_RATE = 100
#: Seconds of changes before the kill and after it; a subject that needs longer is waited for.
_BEFORE_S, _AFTER_S = 5, 15


def run(rig: Rig, result: Result, turn: int = 0) -> None:
    """Kill each subject once and start it again at once."""
    for kind in rig.kinds(turn, rig.applied_formats):
        with rig.world(Standard()) as world:
            subject = kind(world)
            result.add(subject.name, _measure(world, subject))


def _measure(world: World, subject: Subject) -> Figures:
    with psycopg.connect(world.source, autocommit=True) as connection:
        world.table.create(connection, _BASE)
        pace.prepare(connection)
    subject.announce()
    processes = subject.pipeline()
    last = _BASE + _RATE * (_BEFORE_S + _AFTER_S)
    with watch.Target(subject.target, world.table) as target:
        target.wait_rows(_BASE, *processes)
        writer = threading.Thread(target=_write, args=(world, last - _BASE), daemon=True)
        writer.start()
        target.wait_any(f"id = {_BASE + _RATE * _BEFORE_S}", *processes)
        killed = _kill(processes)
        processes = subject.pipeline()
        with Usage(*processes) as usage:
            target.wait_any(f"id = {last}", *processes)
            target.wait_rows(last, *processes)
    writer.join()
    for process in processes:
        process.stop()
    return _figures(world, subject, usage, killed, last)


def _write(world: World, rows: int) -> None:
    with psycopg.connect(world.source, autocommit=True) as connection:
        pace.insert(connection, _BASE + 1, rows, _RATE)


def _kill(processes: list[Process]) -> float:
    """Kill all at once; return when (seconds since the epoch, the servers' clock)."""
    killed = time.time()
    for process in processes:
        process.kill()
    return killed


def _figures(world: World, subject: Subject, usage: Usage, killed: float, last: int) -> Figures:
    sent, seen = pace.commits(world.source, _BASE + 1, last), pace.commits(subject.target, _BASE + 1, last)
    new = [key for key, when in sent.items() if when.timestamp() > killed]
    resumed = min(seen[key].timestamp() for key in new)
    lasted = max(seen.values()).timestamp() - killed
    extra = {"resume_s": round(resumed - killed, 2)}
    return Figures(len(new) / lasted, usage.cpu_s * 1e6 / len(new), usage.peak_mb, extra)
