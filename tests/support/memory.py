"""How much memory daemons have had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.support.daemons import Daemon
    from tests.support.daemons_pipeline import Pipeline

#: Most memory that a daemon may ever take, in MiB.
MOST_MIB = 400


def peak_mib(daemon: Daemon, *, workers: bool = False) -> float:
    """Return the most memory that a daemon's process has had in this life; with the ``workers`` that run, if so asked."""
    pids = [daemon.pid]
    if workers:
        pids += [child.pid for child in psutil.Process(daemon.pid).children(recursive=True)]
    return sum(map(_peak_mib, pids))


def assert_bounded(pipeline: Pipeline, *, workers: bool = False) -> None:
    """No daemon has ever taken more than it may."""
    peaks = {daemon.name: peak_mib(daemon, workers=workers) for daemon in (pipeline.capture, pipeline.apply)}
    print(peaks)
    assert max(peaks.values()) < MOST_MIB, peaks


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
