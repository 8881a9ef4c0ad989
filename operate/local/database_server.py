"""What all database servers of the local stack have in common: a home of their own and a superuser's password."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from abc import abstractmethod
from typing import TYPE_CHECKING

from operate.local import account, ports
from operate.local.server import Server
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class DatabaseServer(Server):
    """One server whose files belong to the account that it runs as."""

    @abstractmethod
    def _log_in(self) -> None:
        """Log in as the superuser; raises what the driver raises when that does not work."""

    @property
    @abstractmethod
    def _refusals(self) -> tuple[type[Exception], ...]:
        """Return what :meth:`_log_in` raises while the server is not ready."""

    def answers(self) -> bool:
        """Return whether the superuser can log in."""
        if not ports.listens(self.port):
            return False
        try:
            self._log_in()
        except self._refusals:
            return False
        return True

    def remove(self) -> None:
        """Kill it and delete its data and folder."""
        self.kill()
        account.remove_folder(self._home)
        super().remove()

    @property
    def _home(self) -> Path:
        return self.folder / "home"

    def _password(self) -> str:
        """Return the superuser's password, made when it is first asked for."""
        path = self.folder / "password"
        if not path.exists():
            write_private(path, secrets.token_hex(12))
        return path.read_text()

    def _hand_over(self, name: str, text: str) -> Path:
        """Return a file in the home that only the server's account may read."""
        path = self._home.resolve() / name  # the account may not be able to walk to the folder that links to it
        write_private(path, text)
        user = account.server_user()
        if user is not None:
            shutil.chown(path, user)
        return path

    def _run_once(self, arguments: Sequence[str], environment: Mapping[str, str], failure: str) -> None:
        """Run a command as the server's account; raises Unreachable with ``failure`` and its words, without secrets."""
        user = account.server_user()
        done = subprocess.run(
            arguments, env=dict(environment), cwd="/", user=user, extra_groups=None if user is None else [],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            words = done.stdout[-800:].strip().replace(self._password(), "...")
            raise Unreachable(f"{failure}: {words}", str(self.folder), "see its message")


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - with a mode
        file.write(text)
