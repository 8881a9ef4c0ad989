"""Runs cases one after another: each within its time, each result kept as soon as it is there."""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import options as asked
from bench import progress
from bench.cases import big_transaction, changes, latency, load, many_tables, resume, stages
from bench.process import Failed
from bench.result import Result, machine
from bench.tables.all import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from bench.options import Options
    from bench.rig import Rig

Pass = tuple[str, ...]

#: The cases that share a preparation are measured in one pass.
ALL_PASSES: tuple[Pass, ...] = (("snapshot", "apply-load"), ("stream", "apply-changes"), ("latency",))
#: The cases whose cost grows with their rows.
GROWING = ("snapshot", "apply-load", "stream", "apply-changes", "big-transaction", "snapshot-mysql", "stream-mysql")


def run(rig: Rig, options: Options, keep: Callable[[Result], None]) -> Iterator[Result]:
    """Measure what was asked for; a result is given when its pass has ended, also one that failed.

    ``keep`` is called with each result as soon as there is one, and again when it has grown.
    """
    for cases in ALL_PASSES if options.case == asked.ALL else ((options.case,),):
        results = _measured(rig, cases, options)
        for result in results.values():
            keep(result)
        if options.growth and cases[0] in GROWING and not any(result.failed for result in results.values()):
            _grow(rig, results, options)
        for result in results.values():
            keep(result)
            yield result


def _measured(rig: Rig, cases: Pass, options: Options) -> dict[str, Result]:
    described = machine() | {"versions": rig.versions}
    results = {
        case: Result(
            case,
            options.rows_of(case),
            machine=described,
            table=case if case in TABLES else options.table,
            server=options.kind if case.endswith("-mysql") else None,
        )
        for case in cases
    }
    _guarded(results, rig, options)
    return results


def _grow(rig: Rig, results: dict[str, Result], options: Options) -> None:
    """Measure ferryman with a tenth of the rows, and note how its cost grew from there."""
    small = {case: Result(case, result.rows // 10, table=result.table) for case, result in results.items()}
    _guarded(small, rig.alone(), options)
    for case, result in results.items():
        if small[case].failed is None:
            result.compare(small[case])


def _once(results: dict[str, Result], rig: Rig, options: Options, turn: int) -> None:
    """Measure every subject once."""
    (case, result), *_ = results.items()
    match case:
        case "snapshot" | "apply-load":
            wanted = results.get("snapshot"), results.get("apply-load")
            load.run(rig, TABLES[options.table](), result.rows, *wanted, turn)
        case "stream" | "apply-changes":
            changes.run(rig, result.rows, results.get("stream"), results.get("apply-changes"), turn)
        case "latency":
            latency.run(rig, result, options.seconds, turn)
        case "resume":
            resume.run(rig, result, turn)
        case "snapshot-mysql" | "stream-mysql":
            from bench.cases import mysql  # noqa: PLC0415 - its driver is an extra

            action = mysql.snapshot if case == "snapshot-mysql" else mysql.stream
            action(rig, result.rows, result, turn)
        case "many-tables":
            many_tables.run(rig, options.tables, options.seconds, result, turn)
        case "wide" | "narrow":
            stages.run(rig, TABLES[case](), result, turn)
        case "big-transaction":
            big_transaction.run(rig, result.rows, result, turn)


def _guarded(results: dict[str, Result], rig: Rig, options: Options) -> None:
    """Run a pass as often as was asked for; where it fails, its results say so and keep what they have."""
    try:
        for turn in range(options.repeat):
            progress.say(_heading(results, turn, options.repeat))
            with _at_most(options.timeout):
                _once(results, rig if options.has_peer(turn) else rig.alone(), options, turn)
        progress.say(f"{', '.join(results)}: done")
    except Exception as error:  # noqa: BLE001 - whatever it was, the other cases are still measured
        progress.say(f"{', '.join(results)}: failed")
        traceback.print_exception(error)
        for result in results.values():
            result.failed = f"{type(error).__name__}: {error}".splitlines()[0]


def _heading(results: dict[str, Result], turn: int, repeat: int) -> str:
    rows = max(result.rows for result in results.values())
    size = f", {rows:,} rows" if rows else ""
    return f"{', '.join(results)}: repetition {turn + 1} of {repeat}{size}"


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
