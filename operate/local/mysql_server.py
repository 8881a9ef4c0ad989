"""What MariaDB's and MySQL's servers have in common: data of their own, a superuser, and a log to read changes from."""

from __future__ import annotations

import shutil
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from operate.local import account, ports, process
from operate.local.database_server import DatabaseServer
from operate.local.server import silent
from runtime import mysql, mysql_url
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from operate.local.server import Say

SUPERUSER = "root"
#: Variables that would steer the server; the loader's path is for other programs. The temporary folder is its own: a
#: server that starts deletes the temporary tables that it finds there, whosesoever they are.
UNWANTED_VARIABLES = ("MYSQL", "MARIADB", "LC_", "LANG", "LD_LIBRARY_PATH", "TZ", "TMPDIR")

#: Options of every server, those that change data capture asks for among them.
SETTINGS = {
    "bind-address": ports.HOST,
    "skip-name-resolve": "ON",
    # No Unix socket: its path may have 107 bytes only, and a state folder may lie deep.
    "socket": "",
    "server-id": "1",
    "log-bin": "binlog",
    "binlog-format": "ROW",
    "binlog-row-image": "FULL",
    "binlog-row-metadata": "FULL",
    # A killed server loses nothing by it: what it wrote is in the kernel's page cache. Only a crash of the whole
    # machine would, and a local stack does not outlive that. It saves disks that several servers share.
    "sync-binlog": "0",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-size": "256M",
    "max-allowed-packet": "1G",
    "max-connections": "200",
    "character-set-server": "utf8mb4",
    "local-infile": "ON",
}

#: The superuser comes over TCP with a password; nobody else comes at all.
_ACCOUNTS = """\
FLUSH PRIVILEGES;
DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';
CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
"""


class MySQLServer(DatabaseServer):
    """One server of this family; ``settings`` override or extend SETTINGS."""

    #: Options that this kind of server takes beside SETTINGS.
    own_settings: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path, say: Say = silent, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, say)
        self._settings = SETTINGS | dict(self.own_settings) | dict(settings or {})

    @abstractmethod
    def _program(self) -> list[str]:
        """Return the server's program with the arguments that find its files."""

    @abstractmethod
    def _installation(self, draft: Path, accounts: Path) -> Sequence[str]:
        """Return the command that makes a data folder ``draft`` and runs the statements in ``accounts``."""

    @property
    def address(self) -> str:
        """The superuser's URL."""
        return mysql_url.make(host=ports.HOST, port=self.port, user=SUPERUSER, password=self._password())

    def prepare(self) -> None:
        """Make the data folder, once."""
        home = account.own_folder(self._home, account.server_user())
        account.own_folder(home / "tmp", account.server_user())
        if not (home / "data").exists():
            self._install(home)

    def command(self) -> process.Launch:
        """Return the server's command line; settings are arguments, so that a newer ferryman's apply at once."""
        settings = {"datadir": str(self._home.resolve() / "data"), "port": str(self.port), **self._settings}
        options = [f"--{name}={value}" for name, value in settings.items()]
        program, *arguments = self._program()
        argv = [program, "--no-defaults", *arguments, *options]
        return process.Launch(argv, self._environment(), account.server_user())

    def _log_in(self) -> None:
        mysql.connect(self.address, program_name="ferryman local").close()

    @property
    def _refusals(self) -> tuple[type[Exception], ...]:
        return (Unreachable,)

    def _install(self, home: Path) -> None:
        accounts = self._hand_over("accounts.sql", _ACCOUNTS.format(password=self._password()))
        draft = home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        command = self._installation(draft, accounts)
        try:
            self._run_once(command, self._environment(), f"{self.title}'s data could not be made")
        finally:
            accounts.unlink()
        draft.rename(home / "data")

    def _environment(self) -> dict[str, str]:
        return process.clean_environment(UNWANTED_VARIABLES) | {"TMPDIR": str(self._home.resolve() / "tmp")}
