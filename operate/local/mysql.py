"""A MySQL server of our own, of the ``mysqld`` that the machine has: no registry carries its programs alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, ClassVar

from operate.local.mysql_server import MySQLServer
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Names the program; else the one on PATH is taken.
VARIABLE = "FERRYMAN_MYSQLD"
_FIX = f"install MySQL's server, or name its program in {VARIABLE} (on Debian, as root: tests/mysql-tree makes one)"


class MySQL(MySQLServer):
    """One MySQL server, with GTIDs."""

    title: ClassVar[str] = "MySQL"
    own_settings: ClassVar[Mapping[str, str]] = {
        "gtid-mode": "ON",
        "enforce-gtid-consistency": "ON",
        "mysqlx": "OFF",
        "secure-file-priv": "",
    }

    def _program(self) -> list[str]:
        return [program()]

    def _installation(self, draft: Path, accounts: Path) -> Sequence[str]:
        options = ["--initialize-insecure", f"--datadir={draft}", f"--init-file={accounts}", "--secure-file-priv="]
        return [program(), "--no-defaults", *options]


def program() -> str:
    """Return the path of a ``mysqld`` that is MySQL's.

    Raises:
        BadInput: there is none, or it is MariaDB's, which calls itself so too.
    """
    found = os.environ.get(VARIABLE) or shutil.which("mysqld")
    if found is None:
        raise BadInput("there is no mysqld on this machine", "PATH", _FIX)
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise BadInput(f"this program cannot be run: {error.strerror}", found, _FIX) from None
    if said.returncode or "MariaDB" in said.stdout:
        raise BadInput("this is not MySQL's server", found, _FIX)
    return found
