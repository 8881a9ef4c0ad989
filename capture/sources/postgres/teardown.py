"""Taking away what capture made at the source: the slot, which holds the log for ever, and the publication."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from capture.source import SourceUnavailable
from capture.sources.postgres import slot
from capture.sources.postgres.faults import translated
from runtime.postgres import connect, quote

if TYPE_CHECKING:
    from runtime.config import SourceConfig


def made(config: SourceConfig) -> list[str]:
    """Return in words what :func:`teardown` would take away now. Raises Unreachable, SourceError."""
    with connect(config.conninfo, application_name="ferryman teardown", autocommit=True) as conn:
        found = []
        if config.slot.create and slot.find(conn, config.slot.name) is not None:
            found.append(f"replication slot {config.slot.name}")
        with translated("publications cannot be read"):
            there = conn.execute("SELECT FROM pg_publication WHERE pubname = %s", [config.publication.name]).fetchone()
        if config.publication.create and there is not None:
            found.append(f"publication {config.publication.name}")
    return found


def teardown(config: SourceConfig) -> list[str]:
    """Drop what capture made and return it in words; safe to call twice. What a DBA owns stays.

    A capture that is just stopping is waited for, ``patience_seconds``. Raises Unreachable, SourceError, and
    SourceUnavailable while one still streams from the slot.
    """
    taken = made(config)
    with connect(config.conninfo, application_name="ferryman teardown", autocommit=True) as conn:
        if config.slot.create:
            deadline = time.monotonic() + config.patience_seconds
            while (state := slot.find(conn, config.slot.name)) is not None and state.active_pid is not None:
                if time.monotonic() > deadline:
                    raise SourceUnavailable(
                        f"slot {config.slot.name} is in use by process {state.active_pid}", "stop `ferryman capture`"
                    )
                time.sleep(0.2)
            if state is not None:
                slot.drop(conn, config.slot.name)
        if config.publication.create:
            with translated(f"publication {config.publication.name} cannot be dropped"):
                conn.execute(f"DROP PUBLICATION IF EXISTS {quote(config.publication.name)}".encode())
    return taken
