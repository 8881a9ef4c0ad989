"""Measuring a table and finding the bounds of its chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from capture.sources.mysql import catalog, plan, row_packets
from capture.sources.mysql.query import quoted, select_list
from capture.sources.mysql.row_images import forms
from capture.sources.mysql.server import rows
from runtime.mysql import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymysql.connections import Connection

    from capture.source import FoundTable, Plan
    from capture.sources.mysql.log.coordinates import Place
    from capture.sources.mysql.row_images.column_meta import ColumnMeta

_SIZE: Final = """
SELECT TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""

_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
#: Integer keys are cut evenly when the rows fill so much of their span; else chunks would be of very unequal size.
_DENSE: Final = 0.2


def cut(
    conn: Connection[Any], table: FoundTable, *, mariadb: bool, chunk_rows: int, chunk_bytes: int
) -> tuple[Plan, int, int | None] | None:
    """Return the plan, the number of chunks and the estimated number of rows; None when the table is gone."""
    facts = catalog.describe_held(conn, table.namespace, table.table, mariadb=mariadb)
    size = rows(conn, _SIZE, table.namespace, table.table)
    if facts is None or not size:
        return None
    estimate, stored = int(size[0][0] or 0), int(size[0][1] or 0)
    key = plan.key_of(facts.columns)
    per_chunk = max(1, min(chunk_rows, chunk_bytes * max(estimate, 1) // max(stored, 1)))
    bounds = _bounds(conn, table, key, per_chunk, estimate) if key else []
    return *plan.made(key, bounds), estimate


def _bounds(
    conn: Connection[Any], table: FoundTable, key: Sequence[ColumnMeta], per_chunk: int, estimate: int
) -> list[plan.Bound]:
    name = quote(table.namespace, table.table)
    if len(key) == 1 and key[0].data_type in _INTEGERS:
        column = quoted(key[0].name)
        first, last = rows(conn, f"SELECT MIN({column}), MAX({column}) FROM {name}")[0]
        if first is None or estimate >= _DENSE * (int(last) - int(first) + 1):
            return _even(first, last, per_chunk)
    return _walked(conn, name, key, per_chunk)


def _even(first: Any, last: Any, per_chunk: int) -> list[plan.Bound]:
    if first is None:
        return []
    return [(str(at).encode(),) for at in range(int(first) + per_chunk, int(last) + 1, per_chunk)]


def _walked(conn: Connection[Any], name: str, key: Sequence[ColumnMeta], per_chunk: int) -> list[plan.Bound]:
    """Walk along the key, ``per_chunk`` rows at a step."""
    names = ", ".join(quoted(column.name) for column in key)
    made = [forms.selected(column) for column in key]
    bounds: list[plan.Bound] = []
    while True:
        where = f"WHERE {plan.from_(key, bounds[-1])} " if bounds else ""
        query = f"SELECT {select_list(key)} FROM {name} {where}ORDER BY {names} LIMIT 1 OFFSET {per_chunk}"
        found = _raw(conn, query)
        if not found:
            return bounds
        values = [value if form is None else form(value) for value, form in zip(found, made, strict=True)]
        bounds.append(tuple(values))


def _raw(conn: Any, query: str) -> list[bytes]:
    """Return the one row of a query as the server's own bytes; [] when there is none."""
    found = [row for stretch in row_packets.received(conn, query) for row in stretch.rows()]
    return [value or b"" for value in row_packets.parse(found[0])] if found else []


def distance(files: Sequence[tuple[str, int]], place: Place) -> int:
    """Return how many bytes of log lie behind a place. Pure."""
    number = place.number
    behind = [(int(file.rpartition(".")[2]), size) for file, size in files]
    return sum(max(0, size - place.offset if n == number else size) for n, size in behind if n >= number)
