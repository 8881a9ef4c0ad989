"""A table's version: what the log says of a table (names, types, identity) and what only the catalog knows.

The stream brings a Relation message; a chunk's worker makes the same from the catalog under its lock. Both go through
:func:`version`, so equal tables give equal versions (rule 5 compares them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from capture.sources.postgres.identity import FULL, Keys, message_key
from capture.sources.postgres.pgoutput import Relation, RelationColumn
from capture.sources.postgres.plan import Leaf
from capture.sources.postgres.types import FIRST_USER_OID, UNKNOWN_TYPE, TypeFacts, mapping
from schemas.table import Column, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

#: One type by oid and modifier.
TypeRef = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the catalog alone knows of a column.

    ``number`` (attnum) is never used again, so it tells a renamed column from a new one. ``missing`` is the value of
    rows older than the column. ``filled``: the column has a default but no such value, so if it is new, its addition
    rewrote the table.
    """

    number: int
    nullable: bool
    missing: str | None
    comment: str | None
    filled: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What the catalog alone knows of a table; the newest state, which the log may not have reached yet."""

    columns: Mapping[str, ColumnFacts]
    primary: tuple[str, ...]
    comment: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """A table's version with what is needed to judge the step from one version to the next."""

    relation: Relation
    facts: TableFacts
    types: Mapping[TypeRef, TypeFacts]
    schema: TableSchema


def version(conn: psycopg.Connection[Any], relation: Relation) -> Version:
    """Return the version of a table as ``relation`` has it, completed from the catalog; raises psycopg.Error."""
    facts = _table_facts(conn, relation.oid)
    types = type_facts(conn, {(c.type_oid, c.typmod) for c in relation.columns})
    return Version(relation, facts, types, table_schema(relation, facts, types, conn.info.dbname))


def table_schema(
    relation: Relation, facts: TableFacts, types: Mapping[TypeRef, TypeFacts], database: str
) -> TableSchema:
    """Return the table version that travels. Pure.

    Columns that the catalog no longer has are nullable and without comment: their facts are gone.
    """
    sent = tuple(c.name for c in relation.columns if c.identity)
    key = message_key(relation.identity, sent, facts.primary)
    return TableSchema(
        namespace=relation.namespace,
        name=relation.name,
        columns=tuple(_column(c, facts.columns.get(c.name, _GONE), types, key) for c in relation.columns),
        database=database,
        comment=facts.comment,
    )


_GONE: Final = ColumnFacts(number=0, nullable=True, missing=None, comment=None, filled=False)


def _column(
    column: RelationColumn, facts: ColumnFacts, types: Mapping[TypeRef, TypeFacts], key: tuple[str, ...]
) -> Column:
    mapped = mapping(types.get((column.type_oid, column.typmod), UNKNOWN_TYPE))
    return Column(
        name=column.name,
        type=mapped.type,
        nullable=facts.nullable,
        source_type=mapped.source_type,
        target_type=mapped.target_type,
        fallback_type=mapped.fallback_type,
        length=mapped.length,
        scale=mapped.scale,
        key_position=key.index(column.name) + 1 if column.name in key else None,
        identity=column.identity,
        missing=facts.missing,
        comment=facts.comment,
    )


# --- queries ----------------------------------------------------------------------------------------------------------

_RELATION: Final = """
SELECT n.nspname, c.relname, c.relreplident
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""

#: Generated columns are not in the log unless a publication asks for them (18+); attnames then lists them.
_ATTRIBUTES: Final = """
SELECT attname, atttypid, atttypmod FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
  AND CASE WHEN %s::name[] IS NULL THEN attgenerated = '' ELSE attname = ANY (%s::name[]) END
ORDER BY attnum"""

#: Not from the view pg_publication_tables, which waits for the lock of every table of the publication.
_PUBLISHED: Final = """
SELECT CASE WHEN r.prattrs IS NOT NULL OR {generated} THEN ARRAY(
           SELECT a.attname::text FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
             AND (r.prattrs IS NULL OR a.attnum = ANY (r.prattrs)) ORDER BY a.attnum) END,
       pg_get_expr(r.prqual, r.prrelid)
FROM pg_publication p
JOIN pg_class c ON c.relname = %(name)s
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %(namespace)s
LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
WHERE p.pubname = %(publication)s"""

#: An index' columns in index order; `%s` tells which index.
_INDEX_COLUMNS: Final = """ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, n)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY k.n)"""

_KEYS: Final = f"""
SELECT i.indisprimary, i.indisreplident, i.indimmediate, {_INDEX_COLUMNS}
FROM pg_index i WHERE i.indrelid = %s AND i.indisvalid AND (i.indisprimary OR i.indisreplident)"""

#: A partitioned table has no rows, so the values of rows older than a column stand with its leaves. OFFSET 0, here and
#: below: row by row, by the index. The server expects a thousand leaves, and would read the whole catalog for them.
_COLUMNS: Final = """
SELECT a.attname, a.attnum, NOT a.attnotnull, col_description(a.attrelid, a.attnum),
       coalesce(own.missing, leaf.missing), a.atthasdef OR a.attidentity <> ''
FROM pg_attribute a
CROSS JOIN LATERAL (SELECT CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS missing) own
LEFT JOIN LATERAL (
    SELECT held.missing FROM pg_partition_tree(a.attrelid) t CROSS JOIN LATERAL (
        SELECT (l.attmissingval::text::text[])[1] AS missing FROM pg_attribute l
        WHERE l.attrelid = t.relid AND l.attname = a.attname AND l.atthasmissing OFFSET 0) held
    WHERE t.isleaf ORDER BY t.relid::oid LIMIT 1) leaf ON true
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"""

_ALL_COLUMNS: Final = """
SELECT attrelid, attnum, attname, atttypid, atttypmod FROM pg_attribute
WHERE attrelid = ANY (%s::oid[]) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attrelid, attnum"""

_COMMENT: Final = "SELECT obj_description(%s::oid, 'pg_class')"

_TYPES: Final = """
WITH RECURSIVE chain AS (
    SELECT q.oid AS asked, q.typmod AS asked_typmod, q.oid, q.typmod
    FROM unnest(%s::oid[], %s::int4[]) AS q(oid, typmod)
  UNION ALL
    SELECT c.asked, c.asked_typmod, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE c.typmod END
    FROM chain c CROSS JOIN LATERAL (
        SELECT typbasetype, typtypmod FROM pg_type WHERE oid = c.oid AND typtype = 'd' OFFSET 0) t)
SELECT c.asked, c.asked_typmod, a.typname, format_type(c.asked, c.asked_typmod),
       c.oid, c.typmod, b.typname, n.nspname, format_type(c.oid, c.typmod), b.typtype::text,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder),
       b.typelem, b.typcategory = 'A'
FROM chain c
CROSS JOIN LATERAL (SELECT typname FROM pg_type WHERE oid = c.asked OFFSET 0) a
CROSS JOIN LATERAL (SELECT * FROM pg_type WHERE oid = c.oid AND typtype <> 'd' OFFSET 0) b
JOIN pg_namespace n ON n.oid = b.typnamespace"""


def relation(conn: psycopg.Connection[Any], oid: int, publication: str) -> Relation | None:
    """Return what the log would say of a table now; None when it is gone. Raises psycopg.Error."""
    head = conn.execute(_RELATION, [oid]).fetchone()
    if head is None:
        return None
    namespace, name, identity = head
    listed = published(conn, publication, namespace, name)[0]
    attributes = conn.execute(_ATTRIBUTES, [oid, listed, listed]).fetchall()
    columns = tuple(attname for attname, _, _ in attributes)
    sent = keys(conn, oid, identity).identity_columns(columns)
    return Relation(
        oid, namespace, name, identity, tuple(RelationColumn(a in sent, a, int(t), m) for a, t, m in attributes)
    )


def columns(conn: psycopg.Connection[Any], oids: list[int]) -> dict[int, tuple[tuple[int, str, int, int], ...]]:
    """Return the columns of many tables as (attnum, name, type oid, modifier). Raises psycopg.Error."""
    found: dict[int, list[tuple[int, str, int, int]]] = {}
    for oid, number, name, type_oid, typmod in conn.execute(_ALL_COLUMNS, [oids]).fetchall():
        found.setdefault(int(oid), []).append((number, name, int(type_oid), typmod))
    return {oid: tuple(rows) for oid, rows in found.items()}


def published(
    conn: psycopg.Connection[Any], publication: str, namespace: str, name: str
) -> tuple[list[str] | None, str | None]:
    """Return a publication's column list and row filter of a table (15+), each None when it has none."""
    version = conn.info.server_version
    if version < 150_000:
        return None, None
    query = _PUBLISHED.format(generated="p.pubgencols = 's'" if version >= 180_000 else "false")
    row = conn.execute(query.encode(), {"publication": publication, "namespace": namespace, "name": name}).fetchone()
    return (row[0], row[1]) if row else (None, None)


def keys(conn: psycopg.Connection[Any], oid: int, identity: str) -> Keys:
    """Return what the catalog says of a table's keys. Raises psycopg.Error."""
    primary: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    deferrable = False
    for is_primary, is_identity, immediate, columns in conn.execute(_KEYS, [oid]).fetchall():
        if is_primary:
            primary, deferrable = tuple(columns), not immediate
        if is_identity:
            index = tuple(columns)
    return Keys(identity, primary, deferrable, index)


def _table_facts(conn: psycopg.Connection[Any], oid: int) -> TableFacts:
    rows = conn.execute(_COLUMNS, [oid]).fetchall()
    comment = conn.execute(_COMMENT, [oid]).fetchone()
    return TableFacts(
        {
            name: ColumnFacts(number, nullable, missing, text, filled=has_default and missing is None)
            for name, number, nullable, text, missing, has_default in rows
        },
        keys(conn, oid, FULL).primary,
        comment[0] if comment else None,
    )


def type_facts(conn: psycopg.Connection[Any], wanted: Iterable[TypeRef]) -> dict[TypeRef, TypeFacts]:
    """Return what the catalog says of types; those that were dropped are missing. Raises psycopg.Error."""
    refs = sorted(wanted)
    rows = conn.execute(_TYPES, [[oid for oid, _ in refs], [typmod for _, typmod in refs]]).fetchall()
    return {(int(row[0]), row[1]): _type(row[2:]) for row in rows}


def _type(row: tuple[Any, ...]) -> TypeFacts:
    name, spelling, base_oid, base_typmod, base_name, namespace, base_spelling, kind, labels, element, array = row
    return TypeFacts(
        name=name,
        spelling=spelling,
        base_oid=int(base_oid),
        base_typmod=base_typmod,
        base_name=base_name,
        base_namespace=namespace,
        base_spelling=base_spelling,
        kind=kind,
        labels=tuple(labels),
        user_defined=int(base_oid) >= FIRST_USER_OID or int(element) >= FIRST_USER_OID,
        array=array,
    )


_LEAVES: Final = """
SELECT c.oid, n.nspname, c.relname, pg_relation_filenode(c.oid),
       (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::int4, pg_table_size(c.oid),
       c.reltuples::bigint
FROM (SELECT relid::oid FROM pg_partition_tree(%(oid)s) WHERE isleaf
      UNION SELECT oid FROM pg_class WHERE oid = %(oid)s AND relkind = 'r') AS leaf(oid)
CROSS JOIN LATERAL (SELECT oid, relname, relnamespace, reltuples FROM pg_class WHERE oid = leaf.oid OFFSET 0) c
JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.oid"""


def leaves(conn: psycopg.Connection[Any], oid: int) -> list[Leaf]:
    """Return the relations that hold a table's rows: itself, or its partitions. Raises psycopg.Error."""
    rows = conn.execute(_LEAVES, {"oid": oid}).fetchall()
    return [
        Leaf(int(leaf), namespace, name, int(filenode), pages, size, tuples if tuples >= 0 else None)
        for leaf, namespace, name, filenode, pages, size, tuples in rows
    ]


#: What a version has from the catalog and what changes without a Relation message: comments, enum labels.
_FINGERPRINT: Final = """
SELECT md5(concat(
    (SELECT string_agg(concat_ws(' ', objoid, objsubid, description), ',' ORDER BY objoid, objsubid)
     FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid = ANY (%(oids)s::oid[])),
    (SELECT string_agg(concat_ws(' ', enumtypid, enumsortorder, enumlabel), ',' ORDER BY enumtypid, enumsortorder)
     FROM pg_enum)))"""


def fingerprint(conn: psycopg.Connection[Any], oids: list[int]) -> str:
    """Return a digest that differs when a version made now may differ although the log says nothing of it."""
    row = conn.execute(_FINGERPRINT, {"oids": oids}).fetchone()
    assert row is not None
    return str(row[0])
