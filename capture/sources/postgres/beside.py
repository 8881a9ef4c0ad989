"""What is done to tables beside the log: each kind has a witness in the catalog, compared between two looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.sources.postgres.carried import Carried
from capture.sources.postgres.partitions import Partitions
from capture.sources.postgres.rewrites import Rewrites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import psycopg

    from capture.source import FoundTable, Mark


class BesideLog:
    """Everything that loses a table without a word in the log. ``now`` and ``passed``: places in the log."""

    def __init__(self, publication: str, now: Callable[[], Mark], passed: Callable[[Mark], bool]) -> None:
        self._partitions = Partitions(now, passed)
        self._witnesses: dict[str, Partitions | Rewrites | Carried] = {
            "partitions": self._partitions,
            "rewrites": Rewrites(),
            "carried": Carried(publication),
        }

    def see(self, conn: psycopg.Connection[Any], tables: Iterable[FoundTable]) -> dict[str, str]:
        """Look at the tables; return by name those that are lost, with the reason. Raises SourceError."""
        found = list(tables)
        return {name: reason for one in self._witnesses.values() for name, reason in one.see(conn, found).items()}

    def truncated(self, tables: Iterable[tuple[int, int]]) -> None:
        """The stream has truncates of these tables, by these transactions."""
        for oid, xid in tables:
            self._partitions.truncated(oid, xid)

    def note(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """A snapshot of the table opens: what was before counts no more. Raises psycopg.Error."""
        for witness in self._witnesses.values():
            witness.note(conn, oid)

    def dump(self) -> dict[str, Any]:
        """Return what was seen last as JSON, for the resume point."""
        return {name: witness.dump() for name, witness in self._witnesses.items()}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up what a resume point holds of it."""
        for name, witness in self._witnesses.items():
            witness.load(saved.get(name, {}))
