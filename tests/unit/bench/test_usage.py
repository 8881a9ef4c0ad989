"""CPU time and memory are those of a process with its children, ended ones too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import watch
from bench.process import Failed, Process
from bench.usage import Usage

#: Seconds of CPU that the child uses before it ends.
CHILD_CPU_S = 0.3
BURN = f"import time\nwhile time.process_time() < {CHILD_CPU_S}: pass"
#: Holds 40 MiB, lets a child burn time and collects it, says so, and stays.
PARENT = f"""
import subprocess, sys, time
held = bytearray(b"x") * (40 << 20)
subprocess.run([sys.executable, "-c", {BURN!r}])
print("collected", flush=True)
time.sleep(600)
"""


def started(tmp_path: Path, program: str) -> Process:
    return Process("parent", [sys.executable, "-c", program], tmp_path / "log", os.environ)


def test_what_a_child_used_counts_when_it_has_ended(tmp_path: Path) -> None:
    process = started(tmp_path, PARENT)
    try:
        with Usage(process) as usage:
            watch.wait(lambda: "collected" in process.log.read_text(), "the child's end", process)
        with Usage(process, from_now=True) as later:
            pass
    finally:
        process.kill()

    assert usage.cpu_s >= CHILD_CPU_S
    assert later.cpu_s < CHILD_CPU_S
    assert usage.peak_mb == usage.peaks_mb["parent"] > 40


def test_a_process_that_ended_by_itself_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    process = started(tmp_path, "raise SystemExit('no room')")
    process._process.wait()

    with pytest.raises(Failed, match="no room"):
        process.check()
