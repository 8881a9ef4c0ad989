"""Whom a server runs as that refuses root, and where that user can reach files."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from runtime.errors import BadInput

#: Exists on every Unix, owns nothing, and is not root.
OTHER_USER = "nobody"
#: World-traversable by standard, and kept over a restart of the machine.
OPEN_FOLDER = Path("/var/tmp")  # noqa: S108 - only folders with random names, made with mkdtemp, are put there
CLOSED_MODE = 0o700
TRAVERSABLE_MODE = 0o711
LISTABLE_MODE = 0o755


def server_user() -> str | None:
    """Return the user that a server which refuses root runs as; None: the caller will do.

    Raises:
        BadInput: we are root and there is no other user to take.
    """
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - Unix only, and only as root

    try:
        pwd.getpwnam(OTHER_USER)
    except KeyError as error:
        raise BadInput(
            f"database servers refuse to run as root, and there is no user {OTHER_USER}",
            "/etc/passwd",
            "run as another user than root",
        ) from error
    return OTHER_USER


def reachable(path: Path) -> bool:
    """Return whether every user can pass through all folders down to ``path`` (a folder)."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in [path, *path.parents])


def open_to_all(folder: Path) -> None:
    """Let everybody read and run what the owner can, whatever our umask was when it was written."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def own_folder(path: Path, user: str | None) -> Path:
    """Make the folder ``path`` for ``user`` alone and return where it really is.

    Where ``user`` cannot get to it (a home of root, a test's private folder), ``path`` becomes a link to a folder in
    /var/tmp. Call it again: no effect.
    """
    if not path.exists():
        path.unlink(missing_ok=True)
        if user is None or reachable(path.parent.resolve()):
            path.mkdir(mode=CLOSED_MODE)
        else:
            path.symlink_to(_open_folder())
    if user is not None:
        shutil.chown(path.resolve(), user)
    return path.resolve()


def remove_folder(path: Path) -> None:
    """Delete what ``own_folder`` made, wherever it is."""
    shutil.rmtree(path.resolve(), ignore_errors=True)
    if path.is_symlink():
        shutil.rmtree(path.resolve().parent, ignore_errors=True)


def _open_folder() -> Path:
    outer = Path(tempfile.mkdtemp(prefix="ferryman-", dir=OPEN_FOLDER))
    outer.chmod(TRAVERSABLE_MODE)
    inner = outer / "data"
    inner.mkdir(mode=CLOSED_MODE)
    return inner
