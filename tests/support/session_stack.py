"""The servers of one test run: started when a test first asks, removed at its end, also those of runs that died."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from operate.local import ports
from operate.local.process import Identity
from operate.local.stack import Stack

#: All runs of one user keep their stacks here, one folder a run.
BASE = Path(tempfile.gettempdir()) / f"ferryman-tests-{os.geteuid()}"

OWNER = "owner"

_ALL_PORTS: Final = ports.RANGE

#: The major version of both PostgreSQL servers, with all that PostgreSQL's own build has; without it the newest.
VERSION = "FERRYMAN_TEST_POSTGRESQL_VERSION"


#: Test processes that run side by side choose their ports from different ones: a server that is down for a while, or not
#: up yet, does not hold its own.
_PROCESS: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


class SessionStack:
    """The stack of this process. A server of it is replaced by the URL in FERRYMAN_TEST_<SERVICE>_URL."""

    def __init__(self) -> None:
        remove_abandoned()
        ports.RANGE = _ALL_PORTS[_PROCESS::_PROCESSES]
        BASE.mkdir(mode=0o711, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=BASE))
        self.folder.chmod(0o711)
        Identity.of(os.getpid()).write(self.folder / OWNER)
        version = os.environ.get(VERSION)
        majors = dict.fromkeys(("postgresql", "target"), int(version)) if version else {}
        self._stack = Stack(self.folder / "stack", majors=majors)

    def address(self, name: str, *variables: str) -> str:
        """Return where the server is: the first of these variables that is set, else a server of our own."""
        for variable in variables:
            if url := os.environ.get(variable):
                return url
        self._stack.start(name)
        return self._stack.server(name).address

    def close(self) -> None:
        """End what was started and delete its data."""
        _remove(self.folder)


def remove_abandoned() -> None:
    """Remove the stacks of test runs that were killed before they could do it themselves."""
    for folder in BASE.glob("*"):
        owner = Identity.read(folder / OWNER)
        if owner is not None and owner.find() is None:
            _remove(folder)


def _remove(folder: Path) -> None:
    Stack(folder / "stack").remove()
    shutil.rmtree(folder, ignore_errors=True)
