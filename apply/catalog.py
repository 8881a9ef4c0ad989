"""What the target's catalog says of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

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

_ACTS = """f.contype = 'f' AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
           AND current_setting('session_replication_role') <> 'replica'"""

_TRIGGERS = """(SELECT coalesce(md5(string_agg(t.oid::text || t.tgenabled::text, ' ' ORDER BY t.oid)), '')
         FROM pg_trigger t WHERE t.tgrelid = {table})"""

#: A foreign key acts by a trigger of the table that it refers to, and in a session of a replica triggers rest.
_TABLE: LiteralString = f"""
SELECT c.oid::bigint, EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid),
       (SELECT min(f.conname) FROM pg_constraint f WHERE f.conrelid = c.oid AND {_ACTS}),
       ARRAY(SELECT ARRAY[rn.nspname::text, r.relname::text, f.conname::text]
               FROM pg_constraint f
               JOIN pg_class r ON r.oid = f.conrelid
               JOIN pg_namespace rn ON rn.oid = r.relnamespace
              WHERE f.confrelid = c.oid AND f.conrelid <> c.oid AND {_ACTS} ORDER BY f.oid),
       CASE WHEN current_setting('session_replication_role') <> 'replica' THEN {_TRIGGERS.format(table="c.oid")} END
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v')"""


_EXPECT_TRIGGERS: LiteralString = f"SELECT 1 / (%s = {_TRIGGERS.format(table='%s')})::int"


def read_table(session: Session, namespace: str, name: str) -> TargetTable | None:
    """Return a table of the target, or None if there is none of this name."""
    found = session.execute(_TABLE, (namespace, name)).fetchone()
    if found is None:
        return None
    oid, referenced, acting, acted_on, triggers = found
    columns = tuple(TargetColumn(*row) for row in session.execute(_COLUMNS, (oid,)))
    unique = frozenset(frozenset(names) for (names,) in session.execute(_UNIQUE, (oid,)))
    by = tuple((schema, table, key) for schema, table, key in acted_on)
    return TargetTable(namespace, name, columns, unique, referenced, acting, by, oid, triggers)


def expect_triggers(session: Session, table: TargetTable) -> None:
    """Have the transaction fail with DivisionByZero if the table's triggers are others than those.

    Once rows of the table were written they stay as they are: CREATE TRIGGER and foreign keys wait for its lock.
    """
    session.execute(_EXPECT_TRIGGERS, (table.triggers, table.oid))


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
