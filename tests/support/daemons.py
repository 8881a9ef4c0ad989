"""The daemons as processes of their own: started with failpoints, killed, frozen, stopped, and asked how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psutil

from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: -P: a folder named `schemas` where the tests are called shadows nothing.
FERRYMAN: Final = (sys.executable, "-P", "-m", "operate.main")


class Daemon:
    """One daemon through all its lives. Each life has a log of its own, one JSON document a line."""

    def __init__(self, name: str, pipeline: Path, folder: Path, *arguments: str, label: str = "") -> None:
        self.name, self._folder = label or name, folder
        self._command = [*FERRYMAN, name, str(pipeline), "--log-format", "json", *arguments]
        self._child: subprocess.Popen[bytes] | None = None
        self._pids: list[int] = []
        self.lives = 0

    @property
    def pid(self) -> int:
        """The process id of the present life, or the last."""
        return self._life.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def log(self) -> Path:
        """The log of the present life, or the last."""
        return self._folder / f"{self.name}-{self.lives}.log"

    def start(self, failpoints: str = "") -> None:
        """Begin a new life; ``failpoints`` as in FERRYMAN_FAILPOINTS."""
        assert not self.running, f"{self.name} runs already"
        self.lives += 1
        with self.log.open("wb") as output:
            self._child = subprocess.Popen(
                self._command, env=environment(failpoints), cwd="/", stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._pids.append(self._child.pid)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Wait for the end of this life and return its exit code; a signal's number is negative."""
        try:
            return self._life.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:g} s:\n{self.last_words()}") from None

    def wait_for_death_at(self, failpoint: str, seconds: float = PATIENCE_S) -> None:
        """Wait until the process was killed, and see that it died of this failpoint."""
        code = self.wait(seconds)
        assert (code, self.last_failpoint()) == (-signal.SIGKILL, failpoint), self.last_words()

    def wait_for_stop_at(self, failpoint: str, seconds: float = PATIENCE_S) -> None:
        """Wait until the process stands still at this failpoint; :meth:`thaw` lets it go on."""
        self.wait_for_event("failpoint.hit", seconds, name=failpoint, action="stop")
        deadline = time.monotonic() + seconds
        while psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, f"{self.name} does not stop at {failpoint}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL this one process, not its children: as the kernel's out-of-memory killer does it."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL, self.last_words()

    def stop(self) -> int:
        """SIGTERM it, once it has come so far that it minds signals, and return its exit code."""
        self.wait_for_event(f"{self._command[4]}.started")
        self._life.send_signal(signal.SIGTERM)
        return self.wait()

    def freeze(self) -> None:
        """SIGSTOP: the process stands still and knows nothing of it."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Leave nothing of any life behind, worker processes included."""
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if self._child is not None:
            self._child.wait(PATIENCE_S)

    def left_behind(self) -> list[int]:
        """Return the processes of earlier lives that still run: none of them should."""
        mine = {pid for pid in self._pids if not (self.running and pid == self.pid)}
        return [process.pid for process in psutil.process_iter() if _session(process.pid) in mine]

    def events(self, name: str | None = None, /) -> Iterator[dict[str, Any]]:
        """Yield the log lines of this life, those with this event name or all."""
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and name in (None, record.get("event")):
                    yield record

    def wait_for_event(self, name: str, /, seconds: float = PATIENCE_S, **fields: object) -> dict[str, Any]:
        """Wait until this life has logged an event with these fields, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            running = self.running  # asked first: its last words may be what is waited for
            for event in self.events(name):
                if fields.items() <= event.items():
                    return event
            assert running, f"{self.name} ended before {name}:\n{self.last_words()}"
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not log {name} {fields}:\n{self.last_words()}")

    def last_failpoint(self) -> str | None:
        """Return the failpoint that acted last in this life."""
        return next((event["name"] for event in reversed(list(self.events("failpoint.hit")))), None)

    def last_words(self) -> str:
        """Return the end of the log, for a failing test."""
        return f"{self.log}:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    @property
    def _life(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, f"{self.name} was never started"
        return self._child


def environment(failpoints: str = "") -> dict[str, str]:
    """Return our environment without what would steer a daemon, and with these failpoints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "FERRYMAN_"))}
    return inherited | {"FERRYMAN_ENV": "test", "FERRYMAN_FAILPOINTS": failpoints}


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid) if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
