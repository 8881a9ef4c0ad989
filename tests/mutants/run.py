"""Tries mutants: each in a copy of the tree, against the one test that must fail."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant
from tests.support import patience
from tests.support.session_stack import SessionStack

ROOT: Final = Path(__file__).parents[2]
#: Seconds after which a test that does not end counts as failed: a mutant may wait for ever.
LONGEST_S: Final = 400
#: Seconds that the tests wait for what must come: with a mutant it mostly never does.
PATIENCE_S: Final = 60
#: What pytest's exit codes mean here; others say that the mutant could not be tried.
_PASSED, _FAILED = 0, 1


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: caught, survived, stale (its text is not there once) or broken (nothing could run)."""

    mutant: Mutant
    outcome: str
    seconds: float = 0.0
    words: str = ""


def is_stale(mutant: Mutant, root: Path = ROOT) -> bool:
    """Whether the text to be replaced is not in its file exactly once."""
    file = root / mutant.file
    return not file.exists() or file.read_text().count(mutant.old) != 1


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Give the addresses of real servers as the environment of the tests."""
    stack = SessionStack()
    try:
        yield {
            "FERRYMAN_TEST_KAFKA_URL": stack.address("kafka", "FERRYMAN_TEST_KAFKA_URL"),
            "FERRYMAN_TEST_POSTGRESQL_URL": stack.address("postgresql", "FERRYMAN_TEST_POSTGRESQL_URL"),
            "FERRYMAN_TEST_TARGET_URL": stack.address("target", "FERRYMAN_TEST_TARGET_URL"),
        }
    finally:
        stack.close()


def failing_unbroken(mutants: Iterable[Mutant], copy: Path, environment: dict[str, str], at_once: int) -> str:
    """Run all tests on the tree as it is: a test that fails anyway catches nothing. Return what failed."""
    tests = list(dict.fromkeys(mutant.test for mutant in mutants))
    code, words = _pytest(
        copy, environment, [*tests, "--numprocesses", str(at_once), "--dist", "loadfile"], LONGEST_S * 10
    )
    return "" if code == _PASSED else words


def try_all(
    mutants: list[Mutant], folder: Path, environment: dict[str, str], at_once: int, say: Callable[[Verdict], None]
) -> list[Verdict]:
    """Return the verdicts in order; ``say`` hears each as it comes."""
    copies: queue.Queue[Path] = queue.Queue()
    for number in range(at_once):
        copies.put(copy_tree(folder / str(number)))

    def one(mutant: Mutant) -> Verdict:
        copy = copies.get()
        try:
            verdict = _try(mutant, copy, environment)
        finally:
            copies.put(copy)
        say(verdict)
        return verdict

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, mutants))


def copy_tree(folder: Path) -> Path:
    """Copy what the tests need; compiled files stay out, so that no old one is taken for a mutant's."""
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "*.pyc")
    )
    return folder


def _try(mutant: Mutant, copy: Path, environment: dict[str, str]) -> Verdict:
    if is_stale(mutant, copy):
        return Verdict(mutant, "stale")
    file, began_at = copy / mutant.file, time.monotonic()
    whole = file.read_text()
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        code, words = _pytest(copy, environment | {patience.VARIABLE: str(PATIENCE_S)}, [mutant.test], LONGEST_S)
    finally:
        file.write_text(whole)
    outcome = {_PASSED: "survived", _FAILED: "caught"}.get(code, "broken")
    return Verdict(mutant, outcome, round(time.monotonic() - began_at, 1), "" if outcome == "caught" else words)


def _pytest(copy: Path, environment: dict[str, str], tests: list[str], seconds: float) -> tuple[int, str]:
    """Run tests in a copy; return pytest's exit code and its last words. One that does not end has failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "240", *tests]
    own = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    if len(tests) == 1:
        command.append("-x")
    try:
        done = subprocess.run(
            command, cwd=copy, env=os.environ | environment | own, capture_output=True, text=True, check=False,
            timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _FAILED, f"did not end within {seconds} s"
    return done.returncode, (done.stdout + done.stderr)[-3_000:]
