"""A folder for programs that every user of the machine can reach: servers that refuse root run from there."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from filelock import FileLock

from operate.local import account
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: What no server needs of its programs: headers and static libraries.
UNNEEDED = ("include", "*.a")


def reachable_copy(base: Path, parts: Sequence[str], name: str) -> Path:
    """Return ``base``, or a folder ``name`` with copies of its ``parts`` where the server's user cannot reach it."""
    if account.server_user() is None or all(account.reachable(base / part) for part in parts if (base / part).exists()):
        return base

    def copy(draft: Path) -> None:
        for part in parts:
            # Not every build of a package has all of its folders.
            if (base / part).exists():
                shutil.copytree(base / part, draft / part, ignore=shutil.ignore_patterns(*UNNEEDED), symlinks=True)

    return _made(folder(), name, copy)


def reachable_folder(base: Path, name: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``name`` in ``base``, or one where the server's user can reach it, filled the first time."""
    place = base if account.server_user() is None or account.reachable(base) else folder()
    return _made(place, name, fill)


def folder() -> Path:
    """Return the folder that everybody can reach; raises BadInput when it belongs to somebody else."""
    shelf = account.OPEN_FOLDER / f"ferryman-programs-{os.geteuid()}"
    shelf.mkdir(mode=account.LISTABLE_MODE, exist_ok=True)
    shelf.chmod(account.LISTABLE_MODE)
    # Everyone may write in /var/tmp: what we run must lie in a folder that nobody else made.
    if shelf.is_symlink() or shelf.lstat().st_uid != os.geteuid():
        raise BadInput("this folder belongs to somebody else", str(shelf), "delete it, or install for all users")
    return shelf


def _made(place: Path, name: str, fill: Callable[[Path], None]) -> Path:
    """Return ``place/name``; the first time ``fill`` makes it, whole or not at all, whoever else asks meanwhile."""
    done = place / name
    with FileLock(place / "lock"):
        if not done.exists():
            draft = place / f"{name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            fill(draft)
            account.open_to_all(draft)
            draft.rename(done)
    return done
