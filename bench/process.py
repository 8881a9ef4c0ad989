"""A process that is measured: started at once, watched while somebody waits, ended in good order or as by a crash."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Seconds that a process may take to end in good order: a Connect worker flushes what it holds.
_END_S = 90
_LAST_WORDS = 1_500


_running: list[Process] = []


class Failed(Exception):
    """A subject ended, failed or hung: the run has no figure."""


class Process:
    """One process with a log file. ``name`` is what it is called in results."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._launch(command, environment)

    def _launch(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        self.pid = self._process.pid
        progress.say(f"  {self.name} runs")
        _running.append(self)

    def check(self) -> None:
        """Raise Failed if it ended by itself."""
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended with {self._process.returncode}: {self._last_words()}")

    def stop(self) -> None:
        """End it in good order.

        Raises:
            Failed: it ended with an error, or did not end.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} does not end: {self._last_words()}") from None
        _running.remove(self)
        if code not in (0, 128 + signal.SIGTERM):  # a JVM that ends in good order says 143
            raise Failed(f"{self.name} ended with {code}: {self._last_words()}")

    def kill(self) -> None:
        """End it as a crash would. Call it again: no effect."""
        self._process.kill()
        self._process.wait()
        if self in _running:
            _running.remove(self)

    def _last_words(self) -> str:
        return self.log.read_bytes()[-_LAST_WORDS:].decode(errors="replace")


@contextmanager
def ended_afterwards() -> Iterator[None]:
    """Kill at the end whatever was started meanwhile and still runs: what a failed run leaves."""
    before = [*_running]
    try:
        yield
    finally:
        for process in [one for one in _running if one not in before]:
            process.kill()
