"""What the target's catalog says of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import errors

from apply.errors import Blocked
from apply.layout import TargetColumn, TargetTable
from runtime.type_names import TypeName, parse, spelled

if TYPE_CHECKING:
    from apply.session import Session

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
                      ELSE format_type(a.atttypid, a.atttypmod) END
       || CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
               THEN format(' COLLATE %%I.%%I', cn.nspname, co.collname) ELSE '' END,
       a.attnotnull, a.attgenerated <> '', a.attidentity = 'a'
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum"""

_UNIQUE = """
SELECT array_agg(a.attname::text)
  FROM pg_index i
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
 WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
   AND i.indpred IS NULL AND i.indexprs IS NULL
 GROUP BY i.indexrelid"""

#: A foreign key acts by a trigger of the table that it refers to, and in a session of a replica triggers rest.
_TABLE = """
SELECT c.oid::bigint, EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid),
       (SELECT min(f.conname) FROM pg_constraint f
         WHERE f.contype = 'f' AND f.conrelid = c.oid
           AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
           AND current_setting('session_replication_role') <> 'replica')
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v')"""


def read_table(session: Session, namespace: str, name: str) -> TargetTable | None:
    """Return a table of the target, or None if there is none of this name."""
    found = session.execute(_TABLE, (namespace, name)).fetchone()
    if found is None:
        return None
    oid, referenced, acting = found
    columns = tuple(TargetColumn(*row) for row in session.execute(_COLUMNS, (oid,)))
    unique = frozenset(frozenset(names) for (names,) in session.execute(_UNIQUE, (oid,)))
    return TargetTable(namespace, name, columns, unique, referenced, acting)


def has_schema(session: Session, namespace: str) -> bool:
    """Whether the target has a schema of this name."""
    return session.execute("SELECT FROM pg_namespace WHERE nspname = %s", (namespace,)).fetchone() is not None


def known_type(session: Session, wanted: str, fallback: str) -> str:
    """Return the type's name if the target has it, else the fallback's.

    PostgreSQL reads the whole text as a type's name or finds none, so what is returned is safe inside DDL.
    """
    try:
        found = session.execute("SELECT to_regtype(%s) IS NOT NULL", (wanted,)).fetchone()
    except errors.SyntaxError:
        raise Blocked("a column's type is spelled in a way that the target cannot read", "ferryman resync") from None
    return wanted if found is not None and found[0] else fallback


def spelling(session: Session, wanted: str) -> str | None:
    """Return a type, with its modifiers, as the catalog spells it for this session; None where there is none."""
    name = parse(wanted)
    found = session.execute("SELECT to_regtype(%s)::text", (name.base,)).fetchone()
    if found is None or found[0] is None:
        return None
    return spelled(TypeName(found[0], name.modifiers))


def is_empty(session: Session, quoted: str) -> bool:
    """Whether the table holds no row, as this transaction sees it."""
    found = session.run(f"SELECT EXISTS (SELECT FROM {quoted})").fetchone()
    return found is not None and not found[0]
