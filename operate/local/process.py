"""Server processes that outlive the program that started them, and that any later program can end.

A process is known by its id *and* its start: ids are used again, and nothing that we did not start may be ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds that killed processes may take to vanish; the kernel needs milliseconds.
GONE_TIMEOUT = 10.0
#: Seconds between two looks at a process that is to end.
LOOK_INTERVAL = 0.02
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Popen warns when it is collected while its process runs, and these processes are meant to run on.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server: its arguments, environment, and the user to run as (None: the caller)."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for all time: its id, and the start that no other process with this id shares."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> Identity:
        """Return the identity of a running process."""
        return cls(pid, _start(psutil.Process(pid)))

    def write(self, path: Path) -> None:
        """Record it in a file, whole or not at all."""
        draft = path.with_suffix(".new")
        draft.write_text(f"{self.pid} {self.start}\n")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Identity | None:
        """Return what ``write`` recorded, or None where there is no record."""
        try:
            pid, start = path.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), start)

    def find(self) -> psutil.Process | None:
        """Return the process while it runs."""
        try:
            process = psutil.Process(self.pid)
            return process if _start(process) == self.start and not _has_ended(process) else None
        except (psutil.NoSuchProcess, FileNotFoundError):
            return None


def launch(what: Launch, log: Path) -> Identity:
    """Start a process in a session of its own, with its output appended to ``log``; return its identity.

    A session of its own keeps Ctrl-C in the caller's terminal away from it.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            what.argv,
            env=what.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=what.user,
            extra_groups=None if what.user is None else [],
            group=None if what.user is None else _group(what.user),
        )
    _children.append(child)
    return Identity.of(child.pid)


def clean_environment(prefixes: tuple[str, ...]) -> dict[str, str]:
    """Return this process's environment without variables that start so: they would steer a server we start."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def end(identity: Identity, polite: signal.Signals, seconds: float) -> None:
    """Ask a process to end with ``polite``; after so many seconds kill it and its children. No process: no effect."""
    process = identity.find()
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.send_signal(polite)
        process.resume()  # a stopped process hears nothing
    if not _wait_for_end([process], seconds):
        kill(identity)


def kill(identity: Identity) -> None:
    """SIGKILL a process and all its descendants, and return when none is left.

    Descendants are found by parent, because PostgreSQL's backends each lead a session of their own. The process is
    stopped first, so that it starts no further child while they are counted.
    """
    process = identity.find()
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGSTOP)
        doomed = [process, *process.children(recursive=True)]
        for each in doomed:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        _wait_for_end(doomed, GONE_TIMEOUT)


def kill_all(name: str, folder: Path) -> None:
    """SIGKILL every process of this program that works in ``folder``, and return when none is left."""
    doomed = []
    for each in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if each.name() == name and each.cwd() == str(folder) and not _has_ended(each):
                each.kill()
                doomed.append(each)
    _wait_for_end(doomed, GONE_TIMEOUT)


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not all(map(_has_ended, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_INTERVAL)
    _children[:] = [child for child in _children if child.poll() is None]
    return True


def _has_ended(process: psutil.Process) -> bool:
    # A zombie holds no port, file or memory, and the init of a container may take its time to collect it. But while a
    # Java's threads are dying, its first thread is a zombie already and its ports are still taken.
    try:
        return not process.is_running() or (process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1)
    except psutil.NoSuchProcess:
        return True


def _start(process: psutil.Process) -> str:
    # On Linux the start is kept in ticks since boot, which no change of the clock moves; create_time() is derived.
    if not BOOT_ID.exists():
        return str(process.create_time())
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()  # from the third field on
    return f"{BOOT_ID.read_text().strip()}/{fields[19]}"


def _group(user: str) -> int:
    import pwd  # noqa: PLC0415 - Unix only, and only where a user is switched

    return pwd.getpwnam(user).pw_gid
