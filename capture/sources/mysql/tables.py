"""The selected tables as the catalog shows them now, and why some of them cannot be captured as they stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql.constants import ER

from capture.source import FoundTable
from capture.sources.mysql import catalog, types
from capture.sources.mysql.faults import translated
from capture.sources.mysql.row_images import charsets
from capture.sources.mysql.server import rows
from runtime.mysql import quote
from runtime.names import spell

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from pymysql.connections import Connection

    from capture.sources.mysql.catalog import TableFacts
    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from runtime.config import Selection

#: Databases whose tables are never captured: the server's own.
_SYSTEM: Final = ("information_schema", "mysql", "performance_schema", "sys")

#: Engines whose reads can be held at one moment while others write.
_TRANSACTIONAL: Final = frozenset({"innodb", "rocksdb"})

_NOT_READABLE: Final = (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR)

_TABLES: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN %s {one}
ORDER BY TABLE_SCHEMA, TABLE_NAME"""
_ONE: Final = "AND TABLE_SCHEMA = %s AND TABLE_NAME = %s"

#: Why a table whose changes never come into the log is not captured, and what mends that.
NOT_LOGGED: Final = (
    "changes of its database are not logged",
    "remove binlog_do_db and binlog_ignore_db from the server's configuration",
)

#: A table's database and name.
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Described:
    """A table as the catalog describes it; ``readable``: we may read its rows."""

    facts: TableFacts
    engine: str
    kind: str
    readable: bool = True


def discover(
    conn: Connection[Any],
    selection: Selection,
    made: Callable[[Name], str],
    known: Mapping[Name, Described],
    *,
    mariadb: bool,
) -> tuple[list[FoundTable], dict[Name, Described]]:
    """Return the selected tables, those that cannot be captured with their reason, and how they are described.

    ``made`` tells a table from a later one of its name. ``known`` is what was described last: a table that is not as it
    was is looked at again, while nobody alters it. Raises SourceError or SourceUnavailable.
    """
    with translated("the catalog cannot be read"):
        now = _seen(conn, selection, mariadb=mariadb)
        for name in sorted({*now, *known}):
            if now.get(name) != known.get(name):
                _look_again(conn, name, now, mariadb=mariadb)
    found = [_found(described, made(name)) for name, described in sorted(now.items())]
    return found, now


def _seen(conn: Connection[Any], selection: Selection, *, mariadb: bool) -> dict[Name, Described]:
    chosen = {
        (row[0], row[1]): row
        for row in rows(conn, _TABLES.format(one=""), _SYSTEM)
        if selection.matches(row[0], row[1])
    }
    described = _described(conn, list(chosen), mariadb=mariadb)
    return {
        name: Described(described[name], str(engine), str(kind))
        for name, (_, _, engine, kind) in chosen.items()
        if name in described
    }


def _look_again(conn: Connection[Any], name: Name, now: dict[Name, Described], *, mariadb: bool) -> None:
    """Describe a table anew while its definition is held; without that the catalog may show half of a change."""
    try:
        with catalog.held(conn, *name) as there:
            seen = rows(conn, _TABLES.format(one=_ONE), _SYSTEM, *name) if there else []
            facts = catalog.describe(conn, *name, mariadb=mariadb) if seen else None
    except pymysql.err.OperationalError as error:
        if error.args[0] not in _NOT_READABLE:
            raise
        if name in now:
            now[name] = replace(now[name], readable=False)
        return
    now.pop(name, None)
    if facts is not None:
        now[name] = Described(facts, str(seen[0][2]), str(seen[0][3]))


def _described(conn: Connection[Any], names: list[Name], *, mariadb: bool) -> dict[Name, TableFacts]:
    found = {}
    for database in dict.fromkeys(database for database, _ in names):
        tables = [table for in_, table in names if in_ == database]
        for table, facts in catalog.describe_all(conn, database, tables, mariadb=mariadb).items():
            found[database, table] = facts
    return found


def _found(described: Described, made: str) -> FoundTable:
    facts = described.facts
    reason, fix = unfit(described) or (None, None)
    return FoundTable(
        name=spell(facts.database, facts.table),
        namespace=facts.database,
        table=facts.table,
        identity={"made": made},
        keyless=all(column.key_position is None for column in facts.columns),
        reason=reason,
        fix=fix,
    )


def without_unlogged(found: list[FoundTable], left_out: Container[str]) -> list[FoundTable]:
    """Return the tables, those of databases that the log leaves out as blocked: what they miss nobody could tell."""
    reason, fix = NOT_LOGGED
    return [
        replace(table, reason=table.reason or reason, fix=table.fix or fix) if table.namespace in left_out else table
        for table in found
    ]


def unfit(described: Described) -> tuple[str, str] | None:
    """Return why a table cannot be captured as it stands, and what mends it. Pure."""
    facts = described.facts
    name = quote(facts.database, facts.table)
    if not described.readable:
        return "the user may not read it", f"GRANT SELECT ON {name} TO the user;"
    if described.engine.lower() not in _TRANSACTIONAL:
        return (
            f"its engine {described.engine} has no transactions: what a copy of it has seen cannot be told",
            f"ALTER TABLE {name} ENGINE = InnoDB;",
        )
    if described.kind == "SYSTEM VERSIONED":
        return "it keeps versions of its rows, which the log shows as rows of their own", "exclude the table"
    return next(filter(None, (_unfit_column(name, column) for column in facts.columns)), None)


def _unfit_column(name: str, column: ColumnMeta) -> tuple[str, str] | None:
    if types.is_unmarked(column):
        return (
            f"column {column.name} has fractions of seconds in the format before MariaDB 10.1, which the log does "
            "not tell from one without"
        ), f"ALTER TABLE {name} FORCE; -- with mysql56_temporal_format = ON"
    if not types.is_known(column.data_type):
        return f"column {column.name} is of type {column.data_type}, which cannot be carried", "exclude the table"
    if column.charset is not None and not charsets.is_known(column.charset):
        return f"column {column.name} has the character set {column.charset}, which cannot be read", (
            f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4;"
        )
    return None
