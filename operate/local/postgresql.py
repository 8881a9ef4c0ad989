"""A PostgreSQL server of our own, ready for logical replication."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, ClassVar

import psycopg

from operate.local import account, ports, postgresql_programs, process
from operate.local.database_server import DatabaseServer
from operate.local.server import silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from operate.local.server import Say

SUPERUSER = "postgres"
DATABASE = "postgres"
#: libpq's variables and the locale would steer the server; the loader's path is for other programs.
UNWANTED_VARIABLES = ("PG", "LC_", "LANG", "LD_LIBRARY_PATH")

SETTINGS = {
    "listen_addresses": ports.HOST,
    # No Unix socket: its path may have 107 bytes only, and a state folder may lie deep.
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_connections": "200",
    "max_wal_senders": "40",
    "max_replication_slots": "40",
    "max_prepared_transactions": "20",
    # A killed server loses nothing by it: what it wrote is in the kernel's page cache. Only a crash of the whole
    # machine would, and a local stack does not outlive that. It saves disks that several servers share.
    "fsync": "off",
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgreSQL(DatabaseServer):
    """One PostgreSQL server; ``settings`` override or extend SETTINGS (``{"fsync": "on"}`` for a benchmark)."""

    title: ClassVar[str] = "PostgreSQL"
    #: "Fast" shutdown: sessions are cut off, the data is left clean, walsenders get everything first.
    polite: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self, folder: Path, say: Say = silent, *, major: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(folder, say)
        self._major = major
        self._settings = SETTINGS | dict(settings or {})

    @property
    def address(self) -> str:
        """The superuser's URL."""
        return f"postgresql://{SUPERUSER}:{self._password()}@{ports.HOST}:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the database cluster, once."""
        home = account.own_folder(self._home, account.server_user())
        if not (home / "data" / "PG_VERSION").exists():
            shutil.rmtree(home / "data", ignore_errors=True)
            self._initialize(home)

    def command(self) -> process.Launch:
        """Return the postmaster's command line; settings are arguments, so that a newer ferryman's apply at once."""
        settings = self._settings | {"port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = [str(self._programs() / "postgres"), "-D", str(self._home.resolve() / "data"), *options]
        return process.Launch(argv, process.clean_environment(UNWANTED_VARIABLES), account.server_user())

    def _log_in(self) -> None:
        psycopg.connect(self.address, connect_timeout=5).close()

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        return (psycopg.OperationalError,)

    def sweep(self) -> None:
        """End backends that outlived their postmaster, and delete its lock file.

        Backends that still hold the shared memory keep a new postmaster from starting; so does the lock file, as long
        as the process that it names is a zombie.
        """
        data = self._home.resolve() / "data"
        process.kill_all("postgres", data)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _programs(self) -> Path:
        prefix = postgresql_programs.release(self._major, self.say) if self._major else postgresql_programs.newest()
        return prefix / "bin"

    def _initialize(self, home: Path) -> None:
        # PostgreSQL trusts nobody on the machine: other users must not become superuser through an open port.
        handed = self._hand_over("password", self._password())
        draft = home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        arguments = ["-D", str(draft), "-E", "UTF8", "--locale=C", "-U", SUPERUSER, "--pwfile", str(handed)]
        initdb = [str(self._programs() / "initdb"), *arguments, "--auth=scram-sha-256", "--no-sync"]
        try:
            self._run_once(initdb, process.clean_environment(UNWANTED_VARIABLES), "initdb failed")
        finally:
            handed.unlink()
        draft.rename(home / "data")
