"""The local stack: some servers in one state folder, started together, found again by any later program."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from filelock import FileLock

from operate.local.kafka import Kafka
from operate.local.mariadb import MariaDB
from operate.local.mysql import MySQL
from operate.local.postgresql import PostgreSQL
from operate.local.server import silent
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from operate.local.server import Say, Server

#: Where the stack of a working folder lives.
DEFAULT_FOLDER = ".ferryman"
#: A folder without this file is never written to, emptied or deleted.
MARKER = "ferryman-stack"
MARKER_TEXT = "The state of a local ferryman stack. `ferryman local down --delete` ends its servers and deletes it.\n"
DEFAULT_SERVICES = ("kafka", "postgresql")

#: Server by name; a new kind of server is a file beside this one and a line here.
SERVERS: dict[str, Callable[[Path, Say], Server]] = {
    "kafka": Kafka,
    "postgresql": PostgreSQL,
    "target": PostgreSQL,
    "mariadb": MariaDB,
    "mysql": MySQL,
}
#: What a person asks for, and the servers that it takes.
SERVICES = {
    "kafka": ("kafka",),
    "postgresql": ("postgresql", "target"),
    "target": ("target",),
    "mariadb": ("mariadb",),
    "mysql": ("mysql",),
}
#: The keys of the addresses document; null where no such server runs.
ADDRESSES = ("kafka", "postgresql", "target", "mariadb", "mysql")


class Stack:
    """Real servers in ``folder``. As a context manager: up on entry, down on exit; the data stays.

    Every method may be called from any process and any number of times: the folder knows what runs. ``majors`` gives
    the major version of a PostgreSQL server by its name; the others are the newest.
    """

    def __init__(
        self,
        folder: Path,
        services: Iterable[str] = DEFAULT_SERVICES,
        say: Say = silent,
        *,
        majors: Mapping[str, int] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self._majors = majors or {}
        self._say = say
        self._services = tuple(services)
        for service in self._services:
            if service not in SERVICES:
                raise BadInput(f"{service} is not available in this version", "--with", f"one of {', '.join(SERVICES)}")

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def addresses(self) -> dict[str, str | None]:
        """Where clients find the servers that run: the document of ``local up --json``."""
        running = {name: self.server(name).address for name in SERVERS if self.server(name).running}
        return {"dir": str(self.folder)} | {name: running.get(name) for name in ADDRESSES}

    def server(self, name: str) -> Server:
        """Return one server by name: kafka, postgresql (the source), target, mariadb or mysql."""
        if major := self._majors.get(name):
            return PostgreSQL(self.folder / name, self._say, major=major)
        return SERVERS[name](self.folder / name, self._say)

    def up(self) -> Self:
        """Start the servers of the services asked for, all at once, and return when every one answers.

        Raises:
            BadInput, Unreachable: a server could not be started; those that this call started are stopped again.
        """
        names = list(dict.fromkeys(name for service in self._services for name in SERVICES[service]))
        self._make_folder()
        with self._lock():
            asleep = [name for name in names if not self.server(name).running]
            try:
                _all_at_once([self.server(name).start for name in names])
            except BaseException:
                _all_at_once([self.server(name).stop for name in asleep])
                raise
        return self

    def down(self) -> list[str]:
        """Stop every server that was ever started in the folder; return the names of those that ran."""
        if not self._is_ours():
            return []
        with self._lock():
            awake = [name for name in SERVERS if self.server(name).running]
            _all_at_once([self.server(name).stop for name in SERVERS])
        return awake

    def start(self, name: str) -> None:
        """Start one server, again or for the first time: same port, same data. Returns when it answers."""
        self._make_folder()
        with self._lock():
            self.server(name).start()

    def kill(self, name: str) -> None:
        """End one server as a crash would (SIGKILL, children included)."""
        self.server(name).kill()

    def remove(self) -> None:
        """Kill all servers and delete the folder with all data. A folder that is not a stack's stays as it is."""
        if self._is_ours():
            for name in SERVERS:
                self.server(name).remove()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _is_ours(self) -> bool:
        return (self.folder / MARKER).exists()

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._is_ours():
            return
        if any(self.folder.iterdir()):
            raise BadInput("this folder holds other things", str(self.folder), "choose an empty or a new folder: --dir")
        (self.folder / MARKER).write_text(MARKER_TEXT)
        (self.folder / ".gitignore").write_text("*\n")

    def _lock(self) -> FileLock:
        return FileLock(self.folder / "lock")


def _all_at_once(actions: list[Callable[[], None]]) -> None:
    """Run all to their end, then raise the first error."""
    with ThreadPoolExecutor(max(1, len(actions))) as pool:
        runs = [pool.submit(action) for action in actions]
    for run in runs:
        run.result()
