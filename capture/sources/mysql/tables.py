"""The selected tables as the catalog shows them now, and why some of them cannot be captured as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from capture.source import FoundTable
from capture.sources.mysql import catalog, charsets, types
from capture.sources.mysql.faults import translated
from capture.sources.mysql.server import rows
from runtime.mysql import quote
from runtime.names import spell

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymysql.connections import Connection

    from capture.sources.mysql.catalog import TableFacts
    from runtime.config import Selection

#: Databases whose tables are never captured: the server's own.
_SYSTEM: Final = ("information_schema", "mysql", "performance_schema", "sys")

#: Engines whose reads can be held at one moment while others write.
_TRANSACTIONAL: Final = frozenset({"innodb", "rocksdb"})

_TABLES: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN %s ORDER BY TABLE_SCHEMA, TABLE_NAME"""

#: A table's database and name.
Name = tuple[str, str]


def discover(
    conn: Connection[Any], selection: Selection, made: Callable[[Name], str], *, mariadb: bool
) -> tuple[list[FoundTable], dict[Name, TableFacts]]:
    """Return the selected tables, those that cannot be captured with their reason, and how they are described.

    ``made`` tells a table from a later one of its name. Raises SourceError or SourceUnavailable.
    """
    with translated("the catalog cannot be read"):
        chosen = [row for row in rows(conn, _TABLES, _SYSTEM) if selection.matches(row[0], row[1])]
        described = _described(conn, [(row[0], row[1]) for row in chosen], mariadb=mariadb)
    found = []
    for database, table, engine, kind in chosen:
        facts = described.get((database, table))
        if facts is not None:
            found.append(_found(facts, str(engine), str(kind), made((database, table))))
    return found, described


def _described(conn: Connection[Any], names: list[Name], *, mariadb: bool) -> dict[Name, TableFacts]:
    found = {}
    for database in dict.fromkeys(database for database, _ in names):
        tables = [table for in_, table in names if in_ == database]
        for table, facts in catalog.describe_all(conn, database, tables, mariadb=mariadb).items():
            found[database, table] = facts
    return found


def _found(facts: TableFacts, engine: str, kind: str, made: str) -> FoundTable:
    reason, fix = unfit(facts, engine, kind) or (None, None)
    return FoundTable(
        name=spell(facts.database, facts.table),
        namespace=facts.database,
        table=facts.table,
        identity={"made": made},
        keyless=all(column.key_position is None for column in facts.columns),
        reason=reason,
        fix=fix,
    )


def unfit(facts: TableFacts, engine: str, kind: str) -> tuple[str, str] | None:
    """Return why a table cannot be captured as it stands, and what mends it. Pure."""
    name = quote(facts.database, facts.table)
    if engine.lower() not in _TRANSACTIONAL:
        return (
            f"its engine {engine} has no transactions: what a copy of it has seen cannot be told",
            f"ALTER TABLE {name} ENGINE = InnoDB;",
        )
    if kind == "SYSTEM VERSIONED":
        return "it keeps versions of its rows, which the log shows as rows of their own", "exclude the table"
    for column in facts.columns:
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
