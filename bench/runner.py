"""Runs cases one after another: each within its time, each result kept as soon as it is there."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import options as asked
from bench.cases import changes, load
from bench.process import Failed
from bench.result import Result, machine
from bench.tables.standard import Standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from bench.options import Options
    from bench.rig import Rig
    from bench.tables import Table

Pass = tuple[str, ...]

#: The cases that share a preparation are measured in one pass.
ALL_PASSES: tuple[Pass, ...] = (("snapshot", "apply-load"), ("stream", "apply-changes"))


def run(rig: Rig, options: Options, keep: Callable[[Result], None]) -> Iterator[Result]:
    """Measure what was asked for; a result is given when its pass has ended, also one that failed.

    ``keep`` is called with each result as soon as there is one, and again when it has grown.
    """
    passes = ALL_PASSES if options.case == asked.ALL else ((options.case,),)
    for cases in passes:
        for result in _measured(rig, cases, options, keep):
            keep(result)
            yield result


def _measured(rig: Rig, cases: Pass, options: Options, keep: Callable[[Result], None]) -> Iterator[Result]:
    results = {case: _result(rig, case, options, options.rows) for case in cases}
    _guarded(results, options.timeout * options.repeat, lambda: _repeat(rig, results, options, options.rows))
    if options.growth and not any(result.failed for result in results.values()):
        for result in results.values():
            keep(result)
        rows = options.rows // 10
        small = {case: _result(rig, case, options, rows) for case in cases}
        _guarded(small, options.timeout, lambda: _repeat(rig.alone(), small, options, rows))
        for case, result in results.items():
            result.compare(small[case])
    yield from results.values()


def _result(rig: Rig, case: str, options: Options, rows: int) -> Result:
    return Result(case, rows, machine=machine() | {"versions": rig.versions}, table=options.table)


def _repeat(rig: Rig, results: dict[str, Result], options: Options, rows: int) -> None:
    for turn in range(options.repeat):
        _once(rig, results, options, rows, turn)


def _once(rig: Rig, results: dict[str, Result], options: Options, rows: int, turn: int) -> None:
    if {"snapshot", "apply-load"} & {*results}:
        load.run(rig, _table(options.table), rows, results.get("snapshot"), results.get("apply-load"), turn)
    else:
        changes.run(rig, rows, results.get("stream"), results.get("apply-changes"), turn)


def _table(name: str) -> Table:
    return {"standard": Standard}[name]()


def _guarded(results: dict[str, Result], seconds: int, action: Callable[[], None]) -> None:
    """Run a pass; where it fails, its results say so and keep what they have."""
    try:
        with _at_most(seconds):
            action()
    except Failed as error:
        print(f"{', '.join(results)}: {error}", file=sys.stderr)
        for result in results.values():
            result.failed = str(error).splitlines()[0]


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def expired(_number: int, _frame: FrameType | None) -> None:
        raise Failed(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
