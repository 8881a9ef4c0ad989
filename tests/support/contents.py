"""Full contents of all tables at both ends, compared exactly: by COPY text, without anything of ferryman's own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What text looks like must not depend on a database's settings.
_SETTINGS = (
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=1 -c bytea_output=hex "
    "-c client_encoding=UTF8"
)

_TABLES = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> ALL (%s)
ORDER BY 2, 3"""

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attname"""

_KEY = """
SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = %s AND i.indisprimary"""

#: Of no interest at either end.
_OURS = ["information_schema", "ferryman"]


class Name(NamedTuple):
    """A table's name in its two parts."""

    namespace: str
    table: str


class Contents(NamedTuple):
    """One table: its columns with their types, its primary key, and its rows, each as often as it is there."""

    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    rows: Counter[bytes]


def read(url: str, but: Iterable[str] = ()) -> dict[Name, Contents]:
    """Return everything in a database as of one moment, but for tables of these names."""
    with psycopg.connect(url, options=_SETTINGS) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        found = connection.execute(_TABLES, [_OURS]).fetchall()
        return {
            Name(namespace, table): _table(connection, oid, Name(namespace, table))
            for oid, namespace, table in found
            if table not in but
        }


def differences(source: str, target: str, but: Iterable[str] = ()) -> list[str]:
    """Return what differs, a line for each table: empty when every table of the source is the same at the target."""
    ours, theirs = read(source, but), read(target, but)
    return [line for name, contents in ours.items() for line in _compare(name, contents, theirs.get(name))]


def tally(source: str, target: str) -> tuple[int, int, int, int]:
    """Return how many tables and rows the source has, and how many rows are missing or too many at the target."""
    ours, theirs = read(source), read(target)
    missing = extra = 0
    for name, one in ours.items():
        other = theirs[name].rows if name in theirs else Counter()
        missing += (one.rows - other).total()
        extra += (other - one.rows).total()
    return len(ours), sum(one.rows.total() for one in ours.values()), missing, extra


def _table(connection: psycopg.Connection[Any], oid: int, name: Name) -> Contents:
    columns = tuple(connection.execute(_COLUMNS, [oid]).fetchall())
    key = connection.execute(_KEY, [oid]).fetchone()
    # By name: a column that was added later may stand at another place in the target.
    listed = sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns)
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(listed, sql.Identifier(*name))
    with connection.cursor().copy(query) as copy:
        rows = Counter(b"".join(map(bytes, copy)).splitlines())
    return Contents(columns, tuple((key and key[0]) or ()), rows)


def _compare(name: Name, ours: Contents, theirs: Contents | None) -> list[str]:
    if theirs is None:
        return [f"{name}: not in the target"]
    found = []
    if ours.columns != theirs.columns:
        here, there = set(ours.columns) - set(theirs.columns), set(theirs.columns) - set(ours.columns)
        found.append(f"{name}: columns {sorted(here)} only at the source, {sorted(there)} only at the target")
    if ours.key != theirs.key:
        found.append(f"{name}: key {ours.key} at the source, {theirs.key} at the target")
    missing, extra = ours.rows - theirs.rows, theirs.rows - ours.rows
    if missing or extra:
        found.append(
            f"{name}: {missing.total()} rows missing, {extra.total()} too many of {ours.rows.total()}; "
            f"missing {_some(missing)}, too many {_some(extra)}"
        )
    return found


def _some(rows: Counter[bytes]) -> list[bytes]:
    return sorted(row[:80] for row in rows)[:5]
