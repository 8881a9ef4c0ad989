"""A table's version: what information_schema says of a table, and what of it the log does not tell."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pymysql
from pymysql.constants import ER

from capture.sources.mysql import types
from capture.sources.mysql.defaults import Unknown, older_rows_have
from capture.sources.mysql.row_images.column_meta import ColumnMeta, refined
from capture.sources.mysql.server import rows
from runtime.mysql import quote
from schemas.table import TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymysql.connections import Connection


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the catalog alone knows of a column.

    ``missing`` is the value of rows that are older than the column; ``told`` is False where the catalog cannot tell it
    (an expression, a number counted up, another column).
    """

    comment: str | None
    missing: str | None
    told: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as the catalog shows it now; the log may not have come so far. The key is a part of ``columns``."""

    database: str
    table: str
    columns: tuple[ColumnMeta, ...]
    facts: Mapping[str, ColumnFacts]
    comment: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """A table's version with what is needed to read its rows and to judge the step to the next one."""

    schema: TableSchema
    columns: tuple[ColumnMeta, ...]
    facts: Mapping[str, ColumnFacts]


def version(found: TableFacts, connector: str, logged: Sequence[ColumnMeta] | None = None) -> Version:
    """Return the version of a table: as the log has its columns, or (None) as the catalog has them now. Pure.

    Raises KeyError for a type that is not known.
    """
    columns = found.columns if logged is None else refined([_plain(c) for c in logged], found.columns)
    made = []
    for meta in columns:
        facts = found.facts.get(meta.name)
        column = types.column(meta)
        if facts is not None:
            column = replace(column, comment=facts.comment, missing=facts.missing)
        made.append(column)
    schema = TableSchema(
        namespace=found.database,
        name=found.table,
        columns=tuple(made),
        connector=connector,
        database=found.database,
        comment=found.comment,
    )
    return Version(schema, tuple(columns), found.facts)


def _plain(logged: ColumnMeta) -> ColumnMeta:
    """Return a column of the log as the catalog would spell it: a year has a sign there that nobody declared."""
    return replace(logged, unsigned=False) if logged.data_type == "year" else logged


class TableRows(NamedTuple):
    """A table's rows of the catalog's columns."""

    database: str
    table: str
    columns: list[tuple[Any, ...]]


# --- queries ----------------------------------------------------------------------------------------------------------

_COLUMNS: Final = """
SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, CHARACTER_MAXIMUM_LENGTH,
       NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, IS_NULLABLE, EXTRA, COLUMN_DEFAULT, COLUMN_COMMENT,
       COALESCE(GENERATION_EXPRESSION, ''), COLUMN_KEY, {srid}
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({names})
ORDER BY TABLE_NAME, ORDINAL_POSITION"""

_UNIQUE: Final = """
SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({names}) AND NON_UNIQUE = 0
ORDER BY TABLE_NAME, INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX"""

_COMMENTS: Final = """
SELECT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN ({names})"""

_NAMES_AT_ONCE: Final = 500
#: The table, or its database, is not there.
_NO_TABLE: Final = (ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR, ER.BAD_TABLE_ERROR)


def describe(conn: Connection[Any], database: str, table: str, *, mariadb: bool) -> TableFacts | None:
    """Return a table as it is now; None when it is gone. Raises the driver's errors."""
    return describe_all(conn, database, [table], mariadb=mariadb).get(table)


@contextmanager
def held(conn: Connection[Any], database: str, table: str) -> Iterator[bool]:
    """Hold a table's definition still while the context lasts, and yield whether there is such a table.

    Without it the catalog may show half of an ALTER or a TRUNCATE that is under way: no table, or one without a key.
    Waits for whoever alters it now, for a moment. Raises the driver's errors.
    """
    conn.begin()
    try:
        try:
            rows(conn, f"SELECT 1 FROM {quote(database, table)} LIMIT 0")
        except pymysql.err.ProgrammingError as error:
            if error.args[0] not in _NO_TABLE:
                raise
            yield False
        else:
            yield True
    finally:
        conn.rollback()


def describe_held(conn: Connection[Any], database: str, table: str, *, mariadb: bool) -> TableFacts | None:
    """Return a table as it is between two changes of it; None when it is gone. Raises the driver's errors."""
    with held(conn, database, table) as there:
        return describe(conn, database, table, mariadb=mariadb) if there else None


def describe_all(
    conn: Connection[Any], database: str, tables: Sequence[str], *, mariadb: bool
) -> dict[str, TableFacts]:
    """Return tables of one database as they are now, by name; those that are gone are missing."""
    found: dict[str, TableFacts] = {}
    for at in range(0, len(tables), _NAMES_AT_ONCE):
        found |= _describe(conn, database, tables[at : at + _NAMES_AT_ONCE], mariadb=mariadb)
    return found


def _describe(conn: Connection[Any], database: str, tables: Sequence[str], *, mariadb: bool) -> dict[str, TableFacts]:
    names = ", ".join(["%s"] * len(tables))
    srid = "NULL" if mariadb else "SRS_ID"
    columns: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows(conn, _COLUMNS.format(srid=srid, names=names), database, *tables):
        columns.setdefault(row[0], []).append(row[1:])
    unique: dict[str, dict[str, list[str]]] = {}
    for table, index, column in rows(conn, _UNIQUE.format(names=names), database, *tables):
        unique.setdefault(table, {}).setdefault(index, []).append(column)
    comments = dict(rows(conn, _COMMENTS.format(names=names), database, *tables))
    return {
        table: _table(
            TableRows(database, table, described), unique.get(table, {}), comments.get(table), mariadb=mariadb
        )
        for table, described in columns.items()
    }


def _table(found: TableRows, unique: Mapping[str, list[str]], comment: str | None, *, mariadb: bool) -> TableFacts:
    key = _key(unique, {row[0] for row in found.columns if row[14] == "PRI"})
    columns = tuple(_meta(row, key) for row in found.columns)
    facts = {c.name: _facts(row, c, mariadb=mariadb) for row, c in zip(found.columns, columns, strict=True)}
    return TableFacts(found.database, found.table, columns, facts, comment or None)


def _key(unique: Mapping[str, list[str]], primary: set[str]) -> list[str]:
    """Return the columns of the primary key, or of the unique index that the server takes for it."""
    if "PRIMARY" in unique:
        return unique["PRIMARY"]
    return next((columns for columns in unique.values() if set(columns) == primary), [])


def _meta(row: tuple[Any, ...], key: list[str]) -> ColumnMeta:
    (name, data_type, column_type, charset, collation, length, precision, scale, fsp, nullable, extra, _default,
     _comment, expression, _key_kind, srid) = row  # fmt: skip
    kind = str(data_type).lower()
    return ColumnMeta(
        name,
        {"geomcollection": "geometrycollection"}.get(kind, kind),
        column_type=str(column_type),
        charset={"utf8": "utf8mb3"}.get(charset, charset),
        collation=collation,
        unsigned=kind != "year" and ("unsigned" in column_type.lower() or "zerofill" in column_type.lower()),
        length=_length(kind, str(column_type), length, precision),
        precision=precision if kind == "decimal" else None,
        scale=scale if kind == "decimal" else None,
        fsp=fsp if kind in ("time", "datetime", "timestamp") else None,
        labels=labels(str(column_type)) if kind in ("enum", "set") else (),
        nullable=nullable == "YES",
        generated=bool(expression),
        invisible="INVISIBLE" in str(extra).upper(),
        srid=srid,
        key_position=key.index(name) + 1 if name in key else None,
    )


def _length(kind: str, column_type: str, length: int | None, precision: int | None) -> int | None:
    if kind in ("char", "varchar", "binary", "varbinary"):
        return length
    if kind == "bit":
        return precision
    found = re.fullmatch(r"vector\((\d+)\)", column_type) if kind == "vector" else None
    return int(found[1]) if found else None


def _facts(row: tuple[Any, ...], meta: ColumnMeta, *, mariadb: bool) -> ColumnFacts:
    extra, default, comment = row[10], row[11], row[12]
    try:
        missing = older_rows_have(meta, None if default is None else str(default), str(extra), mariadb=mariadb)
    except Unknown:
        return ColumnFacts(comment or None, None, told=False)
    return ColumnFacts(comment or None, missing, told=True)


#: What the server escapes where it quotes a label: a quote by doubling it, and these.
_ESCAPES: Final = {"0": "\0", "n": "\n", "r": "\r", "\\": "\\"}


def labels(column_type: str) -> tuple[str, ...]:
    """Return the names in ``enum('a','b')`` or ``set(...)``. Pure."""
    inside = column_type[column_type.index("(") + 1 : column_type.rindex(")")]
    return tuple(_unquoted(quoted) for quoted in re.findall(r"'((?:[^'\\]|''|\\.)*)'", inside, re.DOTALL))


def _unquoted(text: str) -> str:
    return re.sub(r"''|\\(.)", lambda m: "'" if m[0] == "''" else _ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL)
