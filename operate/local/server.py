"""What all local servers share: a folder, recorded ports, a process, and waiting until it answers."""

from __future__ import annotations

import json
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from operate.local import ports, process
from runtime.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from operate.local.process import Launch

#: Tells a person what takes its time (a download, say); one line of text a call.
Say = Callable[[str], None]

#: Bytes that must be free for a server's data: a fresh Kafka and a fresh PostgreSQL fit, with some work in them.
ROOM = 512 * 1024 * 1024
#: Seconds until a server must answer; a loaded two-core machine takes a third of it.
START_TIMEOUT = 90.0
#: Seconds between two looks at a server that is starting.
LOOK_INTERVAL = 0.05
LAST_LOG_BYTES = 1500


def silent(_text: str) -> None:
    """Say nothing."""


class Server(ABC):
    """One server in one folder: ``start``, ``stop`` and ``kill`` may be called by any process, in any order, again.

    ``folder`` holds its data, its log, its ports and the identity of its process.
    """

    #: What it is, for messages.
    title: ClassVar[str]
    #: The signal after which it ends in good order, and the seconds that it may take for it.
    polite: ClassVar[signal.Signals] = signal.SIGTERM
    patience: ClassVar[float] = 20.0
    #: The names of the ports that it listens on; the first is the one that clients use.
    port_names: ClassVar[tuple[str, ...]] = ("client",)

    def __init__(self, folder: Path, say: Say = silent) -> None:
        self.folder = folder
        self.say = say

    @abstractmethod
    def prepare(self) -> None:
        """Make whatever it needs before it can start: programs, data, settings. Called before every start."""

    @abstractmethod
    def command(self) -> Launch:
        """Return how to start it."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether a client would be served now."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client connects to, with superuser rights."""

    def sweep(self) -> None:  # noqa: B027 - most servers are one process
        """End and delete what a dead server left running and lying about. Called when it is known not to run."""

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "server.log"

    @property
    def running(self) -> bool:
        """Whether the process that was started here is alive."""
        identity = process.Identity.read(self._record)
        return identity is not None and identity.find() is not None

    @property
    def port(self) -> int:
        """The port that clients use."""
        return self.ports[self.port_names[0]]

    @property
    def ports(self) -> dict[str, int]:
        """The ports by name: chosen once, so that a restarted server is found at the same address."""
        path = self.folder / "ports.json"
        if not path.exists():
            path.write_text(json.dumps({name: ports.free_port() for name in self.port_names}))
        chosen: dict[str, int] = json.loads(path.read_text())
        return chosen

    def start(self) -> None:
        """Start it unless it runs, and return when it answers.

        Raises:
            BadInput: something that it needs is missing on this machine, or its port is taken.
            Unreachable: it ended, or did not answer in time; the message has the end of its log.
        """
        if self.running and self._comes_up():
            return
        self._make_folder()
        self.sweep()
        self._claim_ports()
        self.prepare()
        process.launch(self.command(), self.log).write(self._record)
        if not self._comes_up():
            raise Unreachable(
                f"{self.title} ended while it started: {self._last_words()}", str(self.log), "see its log"
            )

    def stop(self) -> None:
        """End it in good order, or after ``patience`` the hard way; return when it is gone."""
        self._end(lambda identity: process.end(identity, self.polite, self.patience))

    def kill(self) -> None:
        """End it as a crash would, children included; return when it is gone."""
        self._end(process.kill)

    def remove(self) -> None:
        """Kill it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _record(self) -> Path:
        return self.folder / "process"

    def _end(self, how: Callable[[process.Identity], None]) -> None:
        identity = process.Identity.read(self._record)
        if identity is not None:
            how(identity)
            self._record.unlink(missing_ok=True)
            self.sweep()

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        require_room(self.folder, ROOM)

    def _claim_ports(self) -> None:
        for name, port in self.ports.items():
            if not ports.is_free(port):
                raise BadInput(
                    f"{self.title}'s {name} port is taken by another program",
                    f"{ports.HOST}:{port}",
                    f"end that program, or delete {self.folder / 'ports.json'} to have another port chosen",
                )

    def _comes_up(self) -> bool:
        """Wait until it answers; False when it ended instead (it may be dying of a signal when we begin to look)."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            if not self.running:
                return False
            if time.monotonic() > deadline:
                what = f"{self.title} does not answer after {START_TIMEOUT:.0f} s: {self._last_words()}"
                raise Unreachable(what, str(self.log), "see its log")
            time.sleep(LOOK_INTERVAL)
        return True

    def _last_words(self) -> str:
        return self.log.read_bytes()[-LAST_LOG_BYTES:].decode(errors="replace").strip()


def require_room(folder: Path, size: int) -> None:
    """Refuse to go on where fewer than ``size`` bytes are free.

    Raises:
        BadInput: the disk is too full.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise BadInput(
            f"{free >> 20} MiB are free on this disk, {size >> 20} MiB are needed",
            str(folder),
            "free some space, or choose another folder (--dir for data, FERRYMAN_CACHE for downloads)",
        )
