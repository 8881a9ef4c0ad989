"""The selected tables as the catalog shows them now, and why some of them cannot be captured as they stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
import structlog

from capture.source import FoundTable, SourceUnavailable
from capture.sources.postgres.faults import translated
from capture.sources.postgres.identity import FULL, INDEX, NOTHING, Keys, message_key
from runtime.postgres import describe, quote, spell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capture.sources.postgres.publication import Publication
    from runtime.config import Selection

log = structlog.get_logger()

#: Schemas whose tables are never captured: the server's own, and ferryman's control tables.
_SYSTEM: Final = ("information_schema", "ferryman")

_LOCKED: Final = "another session holds its lock (VACUUM, CREATE INDEX, ALTER TABLE), so it cannot be published yet"
_WHO_LOCKS: Final = "wait: it is tried again every source.discover_seconds"

_INDEX_COLUMNS: Final = """ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, n)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n)"""

#: The columns of the index that is a leaf's replica identity.
_LEAF_INDEX: Final = """ARRAY(
    SELECT a.attname::text FROM pg_index li JOIN pg_attribute a ON a.attrelid = li.indrelid
    AND a.attnum = ANY (li.indkey[0:li.indnkeyatts - 1])
    WHERE li.indrelid = l.oid AND li.indisreplident AND li.indisvalid)"""

#: Whether the publication itself names a table. (The view pg_publication_tables waits for the lock of every table.)
_NAMED: Final = """(p.puballtables
OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = {table}.oid) {more})"""
#: From 15 on a publication may name schemas.
_NAMED_SCHEMA: Final = """
OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = {table}.relnamespace)"""

#: ``published``: under its own name, not that of the partitioned table to which it belongs.
_TABLES: Final = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       coalesce(p.columns, '{{}}') AS primary_columns, coalesce(NOT p.immediate, false) AS primary_deferrable,
       coalesce(r.columns, '{{}}') AS index_columns,
       has_schema_privilege(n.oid, 'USAGE') AND (has_table_privilege(c.oid, 'SELECT') OR NOT EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT'))) AS readable,
       row_security_active(c.oid) AS filtered,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       quote_ident(pg_get_userbyid(c.relowner)) AS owner, quote_ident(current_user) AS role,
       EXISTS (SELECT FROM pg_publication p WHERE p.pubname = %(publication)s AND {{named}} AND NOT EXISTS (
           SELECT FROM pg_partition_ancestors(c.oid) a JOIN pg_class up ON up.oid = a.relid
           WHERE up.oid <> c.oid AND {{ancestor_named}})) AS published,
       ARRAY(SELECT ARRAY[format('%%I.%%I', ln.nspname, l.relname), l.relreplident::text, l.relkind::text,
                          l.relpersistence::text, has_table_privilege(l.oid, 'SELECT')::text,
                          (l.relreplident <> 'i' OR {_LEAF_INDEX} @> r.columns AND {_LEAF_INDEX} <@ r.columns)::text]
             FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
             JOIN pg_namespace ln ON ln.oid = l.relnamespace
             WHERE c.relkind = 'p' AND t.isleaf) AS leaves,
       ARRAY(SELECT a.relid::oid FROM pg_partition_ancestors(c.oid) a WHERE a.relid <> c.oid) AS ancestors
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT {_INDEX_COLUMNS} AS columns, i.indimmediate AS immediate
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid) p ON true
LEFT JOIN LATERAL (SELECT {_INDEX_COLUMNS} AS columns
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) r ON true
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> ALL (%(system)s)
ORDER BY n.nspname, c.relname"""


class LeafState(NamedTuple):
    """A partition that holds rows; ``sql`` is its name for a statement.

    ``same_index``: if an index is its replica identity, it has the columns of the table's.
    """

    sql: str
    identity: str
    kind: str
    persistence: str
    readable: bool
    same_index: bool


@dataclass(frozen=True, slots=True)
class TableState:
    """A table's row of the catalog; ``owner`` and ``role`` (whom we are) are spelled for a statement."""

    oid: int
    namespace: str
    name: str
    kind: str
    persistence: str
    keys: Keys
    columns: tuple[str, ...]
    readable: bool
    filtered: bool
    owned: bool
    owner: str
    role: str
    published: bool
    leaves: tuple[LeafState, ...]
    ancestors: tuple[int, ...]

    @property
    def sql(self) -> str:
        """The table's name for a statement."""
        return quote(self.namespace, self.name)

    @property
    def identified(self) -> bool:
        """Whether every UPDATE and DELETE sends old values as the table's own replica identity says."""
        own = self.keys.identity
        same = all(leaf.identity == own and leaf.same_index for leaf in self.leaves)
        return same and bool(self.keys.identity_columns(self.columns))


def discover(
    conn: psycopg.Connection[Any], selection: Selection, publication: Publication, *, manage: bool
) -> list[FoundTable]:
    """Return the selected tables, those that cannot be captured now with their reason.

    ``manage``: a replica identity that is missing is set. Raises SourceError or SourceUnavailable.
    """
    states = selected(conn, selection, publication.name)
    if manage and set_identities(conn, states, publication.lock_timeout):
        states = selected(conn, selection, publication.name)
    tables = [found(state, publication) for state in states]
    new = [s for s, t in zip(states, tables, strict=True) if t.reason is None and not s.published]
    held = locked(conn, new, publication.lock_timeout)
    return [
        replace(table, reason=_LOCKED, fix=_WHO_LOCKS) if table.identity["oid"] in held else table for table in tables
    ]


def selected(conn: psycopg.Connection[Any], selection: Selection, publication: str) -> list[TableState]:
    """Return the catalog's rows of the selected tables; a partition counts only where no table above it is selected."""
    with translated("the catalog cannot be read"):
        query = _query(conn.info.server_version)
        rows = conn.execute(query.encode(), {"publication": publication, "system": list(_SYSTEM)}).fetchall()
    states = [_state(row) for row in rows]
    chosen = [state for state in states if selection.matches(state.namespace, state.name)]
    oids = {state.oid for state in chosen}
    return [state for state in chosen if not oids.intersection(state.ancestors)]


def _query(server_version: int) -> str:
    schemas = _NAMED_SCHEMA if server_version >= 150_000 else ""
    own, ancestor = (_NAMED.format(table=table, more=schemas.format(table=table)) for table in ("c", "up"))
    return _TABLES.replace("{named}", own).replace("{ancestor_named}", ancestor)


def found(state: TableState, publication: Publication) -> FoundTable:
    """Return what capture needs to know of a table. Pure."""
    sent = state.keys.identity_columns(state.columns)
    reason, fix = unfit(state, publication) or (None, None)
    return FoundTable(
        name=spell(state.namespace, state.name),
        namespace=state.namespace,
        table=state.name,
        identity={"oid": state.oid},
        keyless=not message_key(state.keys.identity, sent, state.keys.primary),
        reason=reason,
        fix=fix,
    )


def unfit(state: TableState, publication: Publication) -> tuple[str, str] | None:
    """Return why a table cannot be captured as it stands, and the statement that mends it. Pure."""
    if not state.columns:
        return "it has no columns", f"DROP TABLE {state.sql};"
    if state.persistence == "u" or any(leaf.persistence == "u" for leaf in state.leaves):
        return "it is unlogged: its changes are not in the log", f"ALTER TABLE {state.sql} SET LOGGED;"
    if any(leaf.kind == "f" for leaf in state.leaves):
        return "one of its partitions is a foreign table", f"ALTER TABLE {state.sql} DETACH PARTITION ...;"
    if not state.identified:
        return _no_identity(state), full_identity(state)
    return _unreadable(state) or _unpublished(state, publication)


def _unreadable(state: TableState) -> tuple[str, str] | None:
    closed = [leaf.sql for leaf in state.leaves if not leaf.readable]
    if not state.readable or closed:
        tables = ", ".join([state.sql, *closed])
        usage = f"GRANT USAGE ON SCHEMA {quote(state.namespace)} TO {state.role};"
        return f"role {state.role} may not read it", f"{usage} GRANT SELECT ON {tables} TO {state.role};"
    if state.filtered:
        return f"row security hides rows of it from role {state.role}", f"ALTER ROLE {state.role} BYPASSRLS;"
    return None


def _unpublished(state: TableState, publication: Publication) -> tuple[str, str] | None:
    if state.published:
        return None
    if not publication.create:
        add = f"ALTER PUBLICATION {quote(publication.name)} ADD TABLE {state.sql};"
        return f"it is not in publication {publication.name}", add
    if not state.owned:
        return f"role {state.role} does not own it, and only its owner may publish it", (
            f"GRANT {state.owner} TO {state.role};"
        )
    return None


def locked(conn: psycopg.Connection[Any], states: Iterable[TableState], lock_timeout: str) -> set[int]:
    """Return the oids of tables that cannot be published now: another session holds their lock, or dropped them."""
    held = set()
    for state in states:
        try:
            with translated(f"table {spell(state.namespace, state.name)} cannot be locked"), conn.transaction():
                conn.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'".encode())
                conn.execute(f"LOCK TABLE ONLY {state.sql} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        except SourceUnavailable:
            held.add(state.oid)
    return held


def _no_identity(state: TableState) -> str:
    if state.keys.identity_columns(state.columns):
        return "some of its partitions have another replica identity than the table"
    if state.keys.identity == NOTHING:
        return "its replica identity is NOTHING: published, its UPDATE and DELETE would fail"
    if state.keys.identity == INDEX:
        return "the index of its replica identity is gone: published, its UPDATE and DELETE would fail"
    if state.keys.primary_deferrable:
        return (
            "its primary key is deferrable, so it is no replica identity: published, its UPDATE and DELETE would fail"
        )
    return "it has no primary key and no replica identity: published, its UPDATE and DELETE would fail"


def full_identity(state: TableState) -> str:
    """Return the statements that let a table, and its partitions, send whole old rows."""
    tables = [state.sql, *(leaf.sql for leaf in state.leaves if leaf.identity != FULL)]
    return " ".join(f"ALTER TABLE {table} REPLICA IDENTITY FULL;" for table in tables)


def set_identities(conn: psycopg.Connection[Any], states: Iterable[TableState], lock_timeout: str) -> bool:
    """Give tables without a usable replica identity a full one; whether any got it. A failure is only logged."""
    changed = False
    for state in states:
        if state.identified or not state.columns or state.persistence == "u":
            continue
        try:
            with conn.transaction():
                conn.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'".encode())
                conn.execute(full_identity(state).encode())
            changed = True
        except psycopg.Error as error:
            log.warning("replica_identity_not_set", table=spell(state.namespace, state.name), reason=describe(error))
    return changed


def _state(row: tuple[Any, ...]) -> TableState:
    (oid, namespace, name, kind, persistence, identity, columns, primary, deferrable, index,
     readable, filtered, owned, owner, role, published, leaves, ancestors) = row  # fmt: skip
    return TableState(
        oid=int(oid),
        namespace=namespace,
        name=name,
        kind=kind,
        persistence=persistence,
        keys=Keys(identity, tuple(primary), deferrable, tuple(index)),
        columns=tuple(columns),
        readable=readable,
        filtered=filtered,
        owned=owned,
        owner=owner,
        role=role,
        published=published,
        leaves=tuple(
            LeafState(sql, own, what, kept, may == "true", same == "true") for sql, own, what, kept, may, same in leaves
        ),
        ancestors=tuple(map(int, ancestors)),
    )
