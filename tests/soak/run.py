"""The soak itself: faults one after another under load, progress after each, full comparisons now and then."""

from __future__ import annotations

import time
import traceback
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from tests.soak.report import Check, Fault, Report
from tests.support import contents
from tests.support.daemons_pipeline import patiently
from tests.support.daemons_setting import Servers, Setting, new_setting
from tests.support.links import ProxiedStack
from tests.support.nemesis import Nemesis
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.daemons import Daemon

#: Faults between two full comparisons.
ROUND: Final = 15
#: Mean pause after a fault, in seconds.
PAUSE_S: Final = 0.5
#: Seconds within which news must reach the target after a fault.
RECOVERY_S: Final = 180.0


def soak(folder: Path, seed: str, seconds: float, faults: int) -> Report:
    """Run for so long, or for so many faults where that is not 0, and report; what fails is in the report."""
    report = Report(seed=seed, minutes=seconds / 60)
    began_at = time.monotonic()
    with ExitStack() as stack:
        session = SessionStack()
        stack.callback(session.close)
        servers = ProxiedStack(session.folder / "stack").up()
        stack.callback(servers.close)
        addresses = Servers(*(str(servers.addresses[name]) for name in ("kafka", "postgresql", "target")))
        setting = stack.enter_context(new_setting(addresses, folder, "soak", seed, servers.links))
        setting.pipeline.patience_s = RECOVERY_S
        nemesis = Nemesis(setting, seed, servers, servers.links)
        try:
            setting.load()
            for round_ in _rounds(seconds, faults):
                _round(setting, nemesis, report, round_)
        except Exception:  # noqa: BLE001 - the report says what failed
            report.failures.append(traceback.format_exc())
        finally:
            report.seconds = time.monotonic() - began_at
            with suppress(Exception):
                _gather(setting, nemesis, report, folder)
    return report


def _rounds(seconds: float, faults: int) -> Iterator[tuple[int, float]]:
    """Yield rounds as (most faults, when to end) until the time or the faults are used up."""
    if faults:
        for first in range(0, faults, ROUND):
            yield min(ROUND, faults - first), float("inf")
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield ROUND, end


def _round(setting: Setting, nemesis: Nemesis, report: Report, round_: tuple[int, float]) -> None:
    """Let faults happen under load with progress after each; then compare everything, and see a restart do nothing."""
    most, end = round_
    with setting.workload.running(), setting.reader.reading():
        for _ in range(most):
            if time.monotonic() >= end:
                break
            _strike(setting, nemesis, report)
            nemesis.pause(PAUSE_S)
    patiently(lambda: setting.pipeline.caught_up(RECOVERY_S))
    report.checks.append(_compare(setting))
    if setting.reader.breaches:
        raise AssertionError(f"the reader saw: {setting.reader.breaches}")
    setting.pipeline.assert_equal()
    setting.pipeline.assert_restart_applies_nothing()
    setting.pipeline.assert_nothing_left_behind()
    report.restarts += 1


def _strike(setting: Setting, nemesis: Nemesis, report: Report) -> None:
    draw = nemesis.draw()
    began_at = time.monotonic()
    fault = Fault(draw.name, at_s=round(time.time() - report.began, 1))
    report.faults.append(fault)
    print(f"{fault.at_s:7.1f} s  {draw.name}", flush=True)
    nemesis.strike(draw)
    fault.detail = nemesis.detail
    healed_at = time.monotonic()
    setting.reader.wait_for_news(RECOVERY_S)
    setting.workload.progress(10)
    fault.took_s, fault.recovery_s = healed_at - began_at, time.monotonic() - healed_at
    fault.happened = True
    pipeline = setting.pipeline
    for daemon in (pipeline.capture, pipeline.apply):
        assert daemon.running, f"{daemon.name} ended by itself: {daemon.last_words()}"
        _measure(daemon, report)


def _measure(daemon: Daemon, report: Report) -> None:
    """Note the most memory that a daemon has had."""
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{daemon.pid}/status") as status:  # noqa: PTH123 - not a file of ours
            peak = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))
        report.peak_rss_mb[daemon.name] = max(peak, report.peak_rss_mb.get(daemon.name, 0))


def _compare(setting: Setting) -> Check:
    pipeline = setting.pipeline
    tally = contents.tally(pipeline.source, pipeline.target)
    code, answer = pipeline.command("validate")
    return Check(*tally, validate_equal=code == 0 and answer.get("equal") is True)


def _gather(setting: Setting, nemesis: Nemesis, report: Report, folder: Path) -> None:
    """Take the figures of everybody who counted, and the daemons' own words."""
    workload, reader = setting.workload, setting.reader
    report.transactions, report.steps = workload.committed, dict(workload.steps)
    report.looks, report.states_seen, report.breaches = reader.looks, len(reader.states), list(reader.breaches)
    report.fired = dict(nemesis.fired)
    report.possible = nemesis.kinds
    report.read_logs(folder.glob("*.log"))
