"""A PostgreSQL server that follows another one until it is promoted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from operate.local import process
from operate.local.postgresql import UNWANTED_VARIABLES, PostgreSQL

if TYPE_CHECKING:
    from pathlib import Path

#: The physical slot by which the primary knows it.
SLOT = "standby"


class Standby(PostgreSQL):
    """A copy of a running server, which must have the physical slot SLOT. It is told by ALTER SYSTEM whom to follow."""

    def __init__(self, folder: Path, primary: PostgreSQL, database: str) -> None:
        self._primary = primary
        address = urlsplit(primary.address)
        self._conninfo = (
            f"host={address.hostname} port={address.port} user={address.username} password={address.password} "
            f"dbname={database}"
        )
        settings = {
            "primary_slot_name": SLOT,
            "hot_standby_feedback": "on",
            "wal_receiver_status_interval": "100ms",
        }
        super().__init__(folder, settings=settings)

    def _password(self) -> str:
        return urlsplit(self._primary.address).password or ""

    def _initialize(self, home: Path) -> None:
        draft = home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        copy = [str(self._programs() / "pg_basebackup"), "-D", str(draft), "-d", self._conninfo, "-c", "fast", "-R"]
        self._run_once(copy, process.clean_environment(UNWANTED_VARIABLES), "pg_basebackup failed")
        draft.rename(home / "data")
