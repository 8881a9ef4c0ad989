"""The publication: which tables the log carries to us. Ours is altered as tables come and go, a DBA's is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from psycopg import errors

from capture.source import SourceError, SourceUnavailable
from capture.sources.postgres.faults import translated
from runtime.postgres import duration, quote, spell

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from capture.source import FoundTable
    from runtime.config import Owned

log = structlog.get_logger()

_FIND = """
SELECT oid, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot
FROM pg_publication WHERE pubname = %s"""

_MEMBERS = """
SELECT n.nspname, c.relname FROM pg_publication_rel r
JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = %s"""


class Publication:
    """One publication by name. ``create``: it is ours, to make and to alter; else it must be there as we need it.

    ``lock_timeout``, for SET: how long ALTER PUBLICATION waits for a table's lock (VACUUM, CREATE INDEX and ALTER TABLE
    hold it). Meanwhile nobody reads the stream. Autovacuum gives way after a second.
    """

    def __init__(self, configured: Owned, lock_timeout_s: float) -> None:
        self.name, self.create = configured.name, configured.create
        self.lock_timeout = duration(lock_timeout_s)

    def ensure(self, conn: psycopg.Connection[Any]) -> tuple[int, bool]:
        """Return its oid and whether it was made just now; raises SourceError when it is not as needed."""
        oid = self.oid(conn)
        made = oid is None and self.create
        if made:
            with translated(f"publication {self.name} cannot be made", f"{self._statement()};"):
                conn.execute(self._statement().encode())
            oid = self.oid(conn)
        for what, fix in self.faults(conn):
            raise SourceError(what, fix)
        assert oid is not None, "a publication without faults exists"
        return oid, made

    def faults(self, conn: psycopg.Connection[Any]) -> list[tuple[str, str]]:
        """Return what it lacks for carrying our tables, each with the statement that mends it."""
        with translated(f"publication {self.name} cannot be read"):
            found = conn.execute(_FIND, [self.name]).fetchone()
        if found is None:
            return [(f"publication {self.name} does not exist", f"{self._statement()};")]
        _oid, all_operations, via_root = found
        faults = []
        if not all_operations:
            all_of_them = f"ALTER PUBLICATION {quote(self.name)} SET (publish = 'insert, update, delete, truncate');"
            faults.append((f"publication {self.name} leaves out some operations", all_of_them))
        if not via_root:
            roots = f"ALTER PUBLICATION {quote(self.name)} SET (publish_via_partition_root = true);"
            faults.append((f"publication {self.name} does not publish partitions as their root", roots))
        return faults

    def oid(self, conn: psycopg.Connection[Any]) -> int | None:
        """Return its oid now; None when it was dropped."""
        with translated("the publication cannot be read"):
            found = conn.execute(_FIND, [self.name]).fetchone()
        return int(found[0]) if found else None

    def stays(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """See that it is still the one with this oid, and as needed.

        Raises SourceUnavailable when it was dropped: another one of its name carried nothing for us while it was away.
        Raises SourceError with the fix when it was altered so that it leaves something out.
        """
        if self.oid(conn) != oid:
            raise SourceUnavailable(f"publication {self.name} was dropped")
        for what, fix in self.faults(conn):
            raise SourceError(what, fix)

    def carry(self, conn: psycopg.Connection[Any], tables: Sequence[FoundTable]) -> tuple[list[FoundTable], bool]:
        """Let the log carry exactly these tables; return those that it did not carry before, and whether any changed.

        A table whose lock cannot be had is taken out the next time; one that cannot be added raises SourceUnavailable,
        because its snapshot relies on the log. A DBA's publication is left as it is.
        """
        if not self.create:
            return [], False
        wanted = {(t.namespace, t.table): t for t in tables}
        with translated(f"publication {self.name} cannot be altered", "the role must own the tables to publish them"):
            members = {(namespace, name) for namespace, name in conn.execute(_MEMBERS, [self.name]).fetchall()}
            added = [table for name, table in wanted.items() if name not in members]
            dropped = [name for name in members if name not in wanted and self._drop(conn, *name)]
            if added:
                self._add(conn, added)
        return added, bool(added or dropped)

    def _add(self, conn: psycopg.Connection[Any], tables: Sequence[FoundTable]) -> None:
        # ONLY: tables that inherit are captured for themselves. (Partitions are none of them.)
        names = ", ".join(f"ONLY {quote(table.namespace, table.table)}" for table in tables)
        with conn.transaction():
            conn.execute(f"SET LOCAL lock_timeout = '{self.lock_timeout}'".encode())
            conn.execute(f"ALTER PUBLICATION {quote(self.name)} ADD TABLE {names}".encode())

    def _drop(self, conn: psycopg.Connection[Any], namespace: str, name: str) -> bool:
        try:
            with conn.transaction():
                conn.execute(f"SET LOCAL lock_timeout = '{self.lock_timeout}'".encode())
                table = f"ONLY {quote(namespace, name)}"
                conn.execute(f"ALTER PUBLICATION {quote(self.name)} DROP TABLE {table}".encode())
        except errors.LockNotAvailable:
            log.warning("table_still_published", table=spell(namespace, name), reason="another session holds its lock")
            return False
        except (errors.UndefinedTable, errors.UndefinedObject, errors.InvalidSchemaName):
            log.info("publication.left", table=spell(namespace, name), reason="it was dropped")
        return True

    def _statement(self) -> str:
        return f"CREATE PUBLICATION {quote(self.name)} WITH (publish_via_partition_root = true)"
