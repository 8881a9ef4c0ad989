"""Reads the shapes of tables from PostgreSQL's catalog, on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from operate.validate.shape import Column, Shape

if TYPE_CHECKING:
    import psycopg

_TABLE: Final = """
SELECT c.oid::bigint, c.relkind::text,
       CASE c.relkind WHEN 'p' THEN (SELECT sum(greatest(l.reltuples, 0))::bigint FROM pg_partition_tree(c.oid) t
                                     JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
                      ELSE c.reltuples::bigint END,
       CASE c.relkind WHEN 'p' THEN (SELECT sum(pg_table_size(t.relid))::bigint FROM pg_partition_tree(c.oid) t
                                     WHERE t.isleaf)
                      ELSE pg_table_size(c.oid) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')"""

#: to_jsonb, because older servers have no such column: there every default collation is libc's.
_DATABASE: Final = """
SELECT pg_encoding_to_char(encoding),
       coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'c' AND datcollate IN ('C', 'POSIX')
       OR coalesce(to_jsonb(d)->>'datlocprovider', 'c') = 'b'
FROM pg_database d WHERE datname = current_database()"""

_COLUMNS: Final = """
SELECT a.attname::text, n.nspname::text, t.typname::text,
       CASE WHEN a.attcollation = 0 THEN true
            WHEN co.collname = 'default' AND co.collprovider = 'd' THEN NULL
            ELSE co.collname IN ('C', 'POSIX', 'ucs_basic') AND co.collnamespace = 'pg_catalog'::regnamespace END,
       a.attidentity = 'a'
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_collation co ON co.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
  AND CASE WHEN %s::name[] IS NULL THEN true ELSE a.attname = ANY (%s::name[]) END
ORDER BY a.attnum"""

_KEYS: Final = """
SELECT array_agg(a.attname::text ORDER BY k.n)
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, n)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisprimary, i.indisreplident
HAVING bool_and(a.attnotnull)
ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indexrelid"""

_PUBLISHED: Final = """
SELECT attnames FROM pg_publication_tables WHERE pubname = %s AND schemaname = %s AND tablename = %s"""

_STORED: Final = """
SELECT array_agg(attname) FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"""

#: What the servers' hash functions are asked, to know whether they agree.
_HASH: Final = "SELECT hashtextextended('ferryman' COLLATE \"C\", 0)"


class NoTable(Exception):
    """There is no table of that name, or it is something that has no rows of its own."""


def shape(connection: psycopg.Connection[Any], namespace: str, name: str, *, publication: str | None = None) -> Shape:
    """Return a table's shape; with a ``publication`` only the columns that travel. Raises NoTable, psycopg.Error."""
    found = connection.execute(_TABLE, [namespace, name]).fetchone()
    if found is None:
        raise NoTable("there is no such table")
    oid, kind, rows, size = found
    if kind not in ("r", "p"):
        raise NoTable("it is a view or a foreign table")
    database = connection.execute(_DATABASE).fetchone()
    assert database is not None
    encoding, default_bytewise = database
    listed = _travelling(connection, publication, oid, namespace, name) if publication is not None else None
    columns = tuple(
        Column(column, (type_schema, type_name), default_bytewise if bytewise is None else bytewise, fixed)
        for column, type_schema, type_name, bytewise, fixed in connection.execute(_COLUMNS, [oid, listed, listed])
    )
    keys = tuple(tuple(names) for (names,) in connection.execute(_KEYS, [oid]))
    row_bytes = int(size or 0) // rows if rows and rows > 0 else 100
    return Shape(
        namespace, name, columns, keys, -1 if rows is None else rows, row_bytes,
        partitioned=kind == "p", utf8=encoding == "UTF8",
    )  # fmt: skip


def hashes_alike(source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> bool:
    """Whether both servers' hash functions give the same numbers."""
    return source.execute(_HASH).fetchone() == target.execute(_HASH).fetchone()


def _travelling(
    connection: psycopg.Connection[Any], publication: str, oid: int, namespace: str, name: str
) -> list[str]:
    """Return the columns that the log carries: the publication's list, else all that are not generated."""
    if connection.info.server_version >= 150_000:
        row = connection.execute(_PUBLISHED, [publication, namespace, name]).fetchone()
        if row is not None and row[0] is not None:
            return list(row[0])
    row = connection.execute(_STORED, [oid]).fetchone()
    return list(row[0] or []) if row is not None else []
