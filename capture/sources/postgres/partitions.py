"""Partitions that come and go: whole sets of rows that enter or leave a table without a word in the log.

The log carries a partitioned table as its root, so ATTACH, DETACH, DROP and TRUNCATE of one partition are not in it.
They are told by comparing the leaves between two looks at the catalog; the leaves last seen are saved with the resume
point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from capture.sources.postgres.faults import translated
from runtime.postgres import quote, spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from capture.source import FoundTable

#: A leaf's oid -> the file that its rows lie in.
Leaves = dict[int, int]

_LEAVES: Final = """
SELECT c.oid, l.oid, pg_relation_filenode(l.oid)
FROM pg_class c LEFT JOIN LATERAL (
    SELECT t.relid::oid AS oid FROM pg_partition_tree(c.oid) t JOIN pg_class r ON r.oid = t.relid
    WHERE t.isleaf AND r.relkind = 'r') l ON true
WHERE c.oid = ANY (%s::oid[]) AND c.relkind = 'p'"""

#: The newest xid that made a link between a leaf and its root, unless each was made together with its lower end.
_ATTACHED: Final = """
SELECT n.nspname, l.relname, i.xmin::text
FROM pg_partition_ancestors(%s::oid::regclass) a JOIN pg_class c ON c.oid = a.relid
JOIN pg_inherits i ON i.inhrelid = a.relid JOIN pg_type t ON t.oid = c.reltype,
     pg_class l JOIN pg_namespace n ON n.oid = l.relnamespace
WHERE l.oid = %s AND i.xmin::text <> t.xmin::text ORDER BY age(i.xmin) LIMIT 1"""


class Partitions:
    """The leaves of every partitioned table as they were when the catalog was last looked at."""

    def __init__(self) -> None:
        self._leaves: dict[int, Leaves] = {}
        self._dumped: dict[str, Any] = {}

    def see(self, conn: psycopg.Connection[Any], tables: Iterable[FoundTable]) -> dict[str, str]:
        """Look at the tables' leaves; return by name those whose rows came or went beside the log, with the reason."""
        names = {int(table.identity["oid"]): table.name for table in tables}
        with translated("the partitions cannot be read"):
            now = _leaves(conn, list(names))
            reasons = {
                names[oid]: reason
                for oid, leaves in now.items()
                if oid in self._leaves and (reason := _loss(conn, self._leaves[oid], leaves)) is not None
            }
        self._set(now)
        return reasons

    def note(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """A snapshot of the table opens: what was before counts no more. Raises psycopg.Error."""
        self._set(self._leaves | _leaves(conn, [oid]))

    def dump(self) -> dict[str, Any]:
        """Return the leaves as JSON, for the resume point; the same object while nothing changed."""
        return self._dumped

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up the leaves of a resume point."""
        self._set({int(oid): {int(leaf): int(file) for leaf, file in leaves} for oid, leaves in saved.items()})

    def _set(self, leaves: dict[int, Leaves]) -> None:
        if leaves != self._leaves:
            self._leaves = leaves
            self._dumped = {str(oid): [list(leaf) for leaf in sorted(one.items())] for oid, one in leaves.items()}


def _leaves(conn: psycopg.Connection[Any], roots: list[int]) -> dict[int, Leaves]:
    found: dict[int, Leaves] = {}
    for root, leaf, filenode in conn.execute(_LEAVES, [roots]).fetchall():
        leaves = found.setdefault(int(root), {})
        if leaf is not None:
            leaves[int(leaf)] = int(filenode)
    return found


def _loss(conn: psycopg.Connection[Any], before: Leaves, now: Leaves) -> str | None:
    if before.keys() - now.keys():
        return "a partition was dropped or detached: its rows left without an event"
    moved = {leaf for leaf, filenode in before.items() if now[leaf] != filenode}
    if moved and moved != before.keys():  # all of them at once: the table itself was, and that is in the log
        return "a partition was truncated or rewritten by itself: its rows may have left without an event"
    for leaf in now.keys() - before.keys():
        name = _filled_before_attached(conn, leaf)
        if name is not None:
            return f"partition {name} was attached: its rows came without an event"
    return None


def _filled_before_attached(conn: psycopg.Connection[Any], leaf: int) -> str | None:
    """Return the name of a new leaf if it had rows before it became a partition.

    Rows inserted later are in the log. (One that was attached while it was empty loses nothing.)
    """
    attached = conn.execute(_ATTACHED, [leaf, leaf]).fetchone()
    if attached is None:
        return None
    namespace, name, xid = attached
    older = f"SELECT EXISTS (SELECT FROM ONLY {quote(namespace, name)} WHERE age(xmin) > age('{int(xid)}'::xid))"
    row = conn.execute(older.encode()).fetchone()
    return spell(namespace, name) if row is not None and row[0] else None
