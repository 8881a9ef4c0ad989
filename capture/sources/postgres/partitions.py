"""Partitions that come and go: whole sets of rows that enter or leave a table without a word in the log.

The log carries a partitioned table as its root, so ATTACH, DETACH, DROP and TRUNCATE of one partition are not in it,
nor what is done to a partition while it is detached. They are told by comparing the leaves between two looks at the
catalog; the leaves last seen are saved with the resume point. A TRUNCATE of the root is in the log, with the
transaction that gave every leaf its new file: what got one otherwise was truncated, or rewritten, by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from capture.sources.postgres.faults import translated
from runtime.postgres import quote, spell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import psycopg

    from capture.source import FoundTable, Mark

#: Truncates of a root that are remembered: leaves bear the mark of the last one that was seen of them.
_TRUNCATES: Final = 8

_LEAVES: Final = """
WITH RECURSIVE member AS (
    SELECT c.oid AS root, c.oid, ''::text AS links, NULL::xid AS link
    FROM pg_class c WHERE c.oid = ANY (%s::oid[]) AND c.relkind = 'p'
  UNION ALL
    SELECT m.root, i.inhrelid, concat_ws(' ', nullif(m.links, ''), i.xmin::text), i.xmin
    FROM member m JOIN pg_inherits i ON i.inhparent = m.oid WHERE NOT i.inhdetachpending)
SELECT m.root, l.oid, l.relfilenode, m.links, l.xmin::text, l.relfilenode = l.oid OR l.xmin = m.link
FROM member m LEFT JOIN pg_class l ON l.oid = m.oid AND l.relkind = 'r'"""

#: The links by which a leaf came that were not made as its lower end was created (PARTITION OF): ATTACH PARTITION
#: writes every column's row of the catalog anew, with the link.
_ATTACHED: Final = """
SELECT n.nspname, l.relname, i.xmin::text, i.cmin::text
FROM pg_partition_ancestors(%(leaf)s::oid::regclass) a JOIN pg_inherits i ON i.inhrelid = a.relid,
     pg_class l JOIN pg_namespace n ON n.oid = l.relnamespace
WHERE l.oid = %(leaf)s AND i.xmin::text <> ALL (%(known)s::text[]) AND NOT EXISTS (
    SELECT FROM pg_attribute b WHERE b.attrelid = a.relid AND b.attnum > 0 AND NOT b.attisdropped
    AND b.xmin = i.xmin AND b.cmin::text::bigint < i.cmin::text::bigint)"""


class Leaf(NamedTuple):
    """A partition that holds rows: its file, and who made its links to the root (None: nobody looked)."""

    file: int
    links: str | None = None


class Seen(NamedTuple):
    """A leaf as the catalog shows it now.

    ``written`` is the transaction that wrote its row of the catalog last, as a new file does. ``original``: its file is
    the one that it had when it became a partition.
    """

    leaf: Leaf
    written: int
    original: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A partitioned table as it was last seen, and the transactions that truncated it as a whole, the newest last."""

    leaves: Mapping[int, Leaf]
    truncates: tuple[int, ...] = ()

    @property
    def links(self) -> set[str]:
        """The transactions that made any link of a leaf."""
        return {xid for leaf in self.leaves.values() if leaf.links for xid in leaf.links.split()}

    def moved(self, now: Mapping[int, Seen]) -> set[int]:
        """Return the leaves that have got another file."""
        return {
            oid
            for oid, seen in now.items()
            if (seen.leaf.file != self.leaves[oid].file if oid in self.leaves else not seen.original)
        }


class Partitions:
    """The leaves of every partitioned table as they were when the catalog was last looked at.

    ``now`` gives a place after everything in the log so far, ``passed`` tells whether the stream has come to it.
    """

    def __init__(self, now: Callable[[], Mark], passed: Callable[[Mark], bool]) -> None:
        self._now, self._passed = now, passed
        self._tables: dict[int, Known] = {}
        self._awaited: dict[int, Mark] = {}
        self._dumped: dict[str, Any] = {}

    def see(self, conn: psycopg.Connection[Any], tables: Iterable[FoundTable]) -> dict[str, str]:
        """Look at the tables' leaves; return by name those whose rows came or went beside the log, with the reason.

        A table that was truncated, as a whole or leaf by leaf, is told of once the stream has come to this place.
        """
        names = {int(table.identity["oid"]): table.name for table in tables}
        with translated("the partitions cannot be read"):
            looks, reasons, tables_now = _looks(conn, list(names)), {}, {}
            for root, now in looks.items():
                known = self._tables.get(root)
                if known is not None and self._awaits(root, known, now):
                    tables_now[root] = known
                    continue
                tables_now[root] = _known(now, known)
                reason = _loss(conn, known, now) if known is not None else None
                if reason is not None:
                    reasons[names[root]] = reason
        self._set(tables_now)
        return reasons

    def truncated(self, root: int, xid: int) -> None:
        """The stream has a TRUNCATE of the root."""
        known = self._tables.get(root)
        if known is not None:
            self._set(self._tables | {root: replace(known, truncates=(*known.truncates, xid)[-_TRUNCATES:])})

    def note(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """A snapshot of the table opens: what was before counts no more. Raises psycopg.Error."""
        self._awaited.pop(oid, None)
        now = {root: _known(seen, self._tables.get(root)) for root, seen in _looks(conn, [oid]).items()}
        self._set(self._tables | now)

    def dump(self) -> dict[str, Any]:
        """Return the leaves as JSON, for the resume point; the same object while nothing changed."""
        return self._dumped

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up the leaves of a resume point."""
        self._awaited = {}
        self._set({int(oid): _parsed(table) for oid, table in saved.items()})

    def _awaits(self, root: int, known: Known, now: Mapping[int, Seen]) -> bool:
        """Whether the stream may still bring the TRUNCATE of the root that would be the reason of new files."""
        if not (_moved_unexplained(known, now) and known.leaves.keys() <= known.moved(now)):
            self._awaited.pop(root, None)
            return False
        if root not in self._awaited:
            self._awaited[root] = self._now()
        if not self._passed(self._awaited[root]):
            return True
        del self._awaited[root]
        return False

    def _set(self, tables: dict[int, Known]) -> None:
        if tables != self._tables:
            self._tables = tables
            self._dumped = {str(oid): _written(known) for oid, known in tables.items()}


def _looks(conn: psycopg.Connection[Any], roots: list[int]) -> dict[int, dict[int, Seen]]:
    found: dict[int, dict[int, Seen]] = {}
    for root, leaf, file, links, written, original in conn.execute(_LEAVES, [roots]).fetchall():
        leaves = found.setdefault(int(root), {})
        if leaf is not None:
            leaves[int(leaf)] = Seen(Leaf(int(file), links), int(written), original)
    return found


def _loss(conn: psycopg.Connection[Any], known: Known, now: Mapping[int, Seen]) -> str | None:
    if known.leaves.keys() - now.keys():
        return "a partition was dropped or detached: its rows left without an event"
    if any(leaf.links not in (None, now[oid].leaf.links) for oid, leaf in known.leaves.items()):
        return "a partition was detached and attached again: its rows may be others"
    if _moved_unexplained(known, now):
        return "a partition was truncated or rewritten by itself: its rows may have left without an event"
    for leaf in now.keys() - known.leaves.keys():
        name = _filled_before_attached(conn, leaf, known.links)
        if name is not None:
            return f"partition {name} was attached: its rows came without an event"
    return None


def _moved_unexplained(known: Known, now: Mapping[int, Seen]) -> bool:
    """Whether a leaf has a file that no TRUNCATE of the root, as far as the stream was read, gave it. Pure."""
    return any(now[oid].written not in known.truncates for oid in known.moved(now))


def _filled_before_attached(conn: psycopg.Connection[Any], leaf: int, links: set[str]) -> str | None:
    """Return the name of a new leaf if it had rows before it became a partition, by a link that was not there before.

    Rows inserted later are in the log. (One that was attached while it was empty loses nothing.) Rows of the attaching
    transaction itself are told by the number of their command. So may be those of a savepoint in it, which bear a
    number of their own: any row whose command is lower than the link's counts, to be safe.
    """
    for namespace, name, xid, command in conn.execute(_ATTACHED, {"leaf": leaf, "known": list(links)}).fetchall():
        older = f"age(xmin) > age('{int(xid)}'::xid) OR cmin::text::bigint < {int(command)}"
        row = conn.execute(f"SELECT EXISTS (SELECT FROM ONLY {quote(namespace, name)} WHERE {older})".encode())
        if row.fetchone() == (True,):
            return spell(namespace, name)
    return None


def _known(now: Mapping[int, Seen], before: Known | None) -> Known:
    return Known({oid: seen.leaf for oid, seen in now.items()}, before.truncates if before is not None else ())


def _written(known: Known) -> dict[str, Any]:
    return {"leaves": [[oid, *leaf] for oid, leaf in sorted(known.leaves.items())], "truncates": list(known.truncates)}


def _parsed(saved: Any) -> Known:
    """Return what :func:`_written` wrote; an earlier version wrote leaves and their files alone."""
    leaves, truncates = (saved["leaves"], saved["truncates"]) if isinstance(saved, dict) else (saved, ())
    return Known({int(oid): Leaf(int(file), *links) for oid, file, *links in leaves}, tuple(map(int, truncates)))
