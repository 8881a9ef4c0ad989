"""The daemons of the demo as processes of their own, and the commands that the demo calls as a user would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from operate.demo.errors import DemoFailed
from operate.local import process
from operate.local.process import Identity

if TYPE_CHECKING:
    from pathlib import Path

#: As in: python -P -m operate.main; -P, so that a folder named `schemas` where the demo is called shadows nothing.
FERRYMAN = (sys.executable, "-P", "-m", "operate.main")
#: Seconds that a daemon may take to end after SIGTERM, and a process to vanish after SIGKILL.
STOP_TIMEOUT, KILL_TIMEOUT = 30.0, 10.0
LAST_WORDS_LINES = 12
_HTTP = re.compile(r'"http": "([^"]+)"')


#: The environment variable by which all processes of a demo are found, those of a killed parent, too.
MARK = "FERRYMAN_DEMO"


def environment(folder: Path | None = None) -> dict[str, str]:
    """Return our environment without what would steer ferryman (libpq's variables, failpoints, ports).

    With a ``folder`` it is that of a daemon of the demo there.
    """
    # What a killed daemon leaves in its temporary folder is to go with the demo's.
    own = {MARK: str(folder), "TMPDIR": str(folder)} if folder else {}
    return process.clean_environment(("PG", "FERRYMAN_")) | own


class Daemon:
    """One daemon: started, killed and stopped, any number of times. ``log`` has the output of all its lives."""

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._command = [*FERRYMAN, name, *arguments]
        self._child: subprocess.Popen[bytes] | None = None
        self._wanted = False

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._child is not None and self._child.poll() is None

    def check(self) -> None:
        """Raise DemoFailed if it ended by itself."""
        if self._wanted and not self.running:
            assert self._child is not None, "it was started"
            raise DemoFailed(f"{self.name} ended by itself with exit code {self._child.returncode}")

    def start(self) -> None:
        """Start it; it leads a session of its own, so that Ctrl-C reaches the demo alone."""
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self._command, env=environment(self._folder), cwd="/", stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._wanted = True

    def kill(self) -> None:
        """SIGKILL this one process, not its children: as the kernel's out-of-memory killer does it."""
        assert self._child is not None, "it was started"
        self._wanted = False
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.wait(KILL_TIMEOUT)

    def stop(self) -> int:
        """SIGTERM it and return its exit code."""
        assert self._child is not None, "it was started"
        self._wanted = False
        self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"{self.name} did not end within {STOP_TIMEOUT:.0f} s after SIGTERM") from None

    @property
    def address(self) -> str | None:
        """Where it answers /metrics, as its log says."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        found = [match[1] for line in lines if (match := _HTTP.search(line))]
        return found[-1] if found else None

    def last_words(self) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_WORDS_LINES:])


def end(folder: Path) -> None:
    """Kill every process that descends from a daemon of ``folder``, whoever started it and whatever died meanwhile."""
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.environ().get(MARK) == str(folder):
                process.kill(Identity.of(each.pid))


def ask(*arguments: str | Path, timeout_s: float) -> tuple[int, dict[str, Any]]:
    """Run a ferryman command with ``--json``; return its exit code and its document.

    Raises DemoFailed when it does not end in time or does not answer.
    """
    command = [*FERRYMAN, *map(str, arguments), "--json"]
    words = " ".join(["ferryman", str(arguments[0])])
    try:
        done = subprocess.run(
            command, env=environment(), cwd="/", capture_output=True, text=True, check=False, timeout=timeout_s
        )
        document: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise DemoFailed(f"`{words}` did not end within {timeout_s:.0f} s") from None
    except ValueError:
        raise DemoFailed(f"`{words}` gave no answer: {done.stderr.strip()[-300:]}") from None
    return done.returncode, document


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._start
