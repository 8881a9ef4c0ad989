"""The publication: which tables the log carries to us. Ours is altered as tables come and go, a DBA's is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.source import SourceError
from capture.sources.postgres.faults import translated
from runtime.postgres import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from capture.source import FoundTable

_FIND = """
SELECT oid, puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot
FROM pg_publication WHERE pubname = %s"""

_MEMBERS = """
SELECT n.nspname, c.relname FROM pg_publication_rel r
JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = %s"""


class Publication:
    """One publication by name. ``create``: it is ours, to make and to alter; else it must be there as we need it."""

    def __init__(self, name: str, *, create: bool) -> None:
        self.name, self.create = name, create

    def ensure(self, conn: psycopg.Connection[Any]) -> tuple[int, bool]:
        """Return its oid and whether it was made just now; raises SourceError when it is not as needed."""
        with translated(f"publication {self.name} cannot be made", f"{self._statement()}; -- by a privileged role"):
            found = conn.execute(_FIND, [self.name]).fetchone()
            if found is None and self.create:
                conn.execute(self._statement())
                made = conn.execute(_FIND, [self.name]).fetchone()
                assert made is not None
                return int(made[0]), True
        if found is None:
            raise SourceError(f"publication {self.name} does not exist", f"{self._statement()};")
        self._must_fit(found)
        return int(found[0]), False

    def oid(self, conn: psycopg.Connection[Any]) -> int | None:
        """Return its oid now; None when it was dropped."""
        with translated("the publication cannot be read"):
            found = conn.execute(_FIND, [self.name]).fetchone()
        return int(found[0]) if found else None

    def carry(self, conn: psycopg.Connection[Any], tables: Sequence[FoundTable]) -> tuple[list[FoundTable], bool]:
        """Let the log carry exactly these tables; return those that it did not carry before, and whether any changed.

        All in one transaction. A DBA's publication is left as it is.
        """
        if not self.create:
            return [], False
        wanted = {(t.namespace, t.table): t for t in tables}
        with translated(f"publication {self.name} cannot be altered", "the role must own the tables to publish them"):
            members = {(namespace, name) for namespace, name in conn.execute(_MEMBERS, [self.name]).fetchall()}
            added = [table for name, table in wanted.items() if name not in members]
            dropped = [name for name in members if name not in wanted]
            with conn.transaction():
                for name in dropped:
                    self._alter(conn, "DROP", *name)
                for table in added:
                    self._alter(conn, "ADD", table.namespace, table.table)
        return added, bool(added or dropped)

    def _alter(self, conn: psycopg.Connection[Any], verb: str, namespace: str, name: str) -> None:
        # ONLY: tables that inherit are captured for themselves. (Partitions are none of them.)
        conn.execute(f"ALTER PUBLICATION {quote(self.name)} {verb} TABLE ONLY {quote(namespace, name)}")

    def _statement(self) -> str:
        return f"CREATE PUBLICATION {quote(self.name)} WITH (publish_via_partition_root = true)"

    def _must_fit(self, found: tuple[Any, ...]) -> None:
        _oid, _all_tables, all_operations, via_root = found
        if not all_operations:
            raise SourceError(
                f"publication {self.name} leaves out some operations",
                f"ALTER PUBLICATION {quote(self.name)} SET (publish = 'insert, update, delete, truncate');",
            )
        if not via_root:
            raise SourceError(
                f"publication {self.name} does not publish partitions as their root",
                f"ALTER PUBLICATION {quote(self.name)} SET (publish_via_partition_root = true);",
            )
