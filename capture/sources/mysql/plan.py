"""How a table is cut into chunks: ranges of its key. Pure.

A plan is JSON: ``{"key": [column, ...], "bounds": [[hex, ...], ...]}``. Each bound is the key, in source form, of the
first row of a chunk; before the first bound there is one chunk more. Ranges of a key hold whatever happens to rows, so
a plan dies only with the key. ``key`` empty: one chunk takes everything (a table without a key, rule 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.sources.mysql.query import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capture.sources.mysql.row_images.column_meta import ColumnMeta

#: A key's values in source form, by key column.
Bound = tuple[bytes, ...]


def key_of(columns: Sequence[ColumnMeta]) -> list[ColumnMeta]:
    """Return the columns of the key in its order."""
    return sorted((c for c in columns if c.key_position is not None), key=lambda column: column.key_position or 0)


def made(key: Sequence[ColumnMeta], bounds: Sequence[Bound]) -> tuple[dict[str, Any], int]:
    """Return the plan with these bounds, and the number of its chunks."""
    names = [column.name for column in key]
    return {"key": names, "bounds": [[value.hex() for value in bound] for bound in bounds]}, len(bounds) + 1


def condition(plan: dict[str, Any], index: int, columns: Sequence[ColumnMeta]) -> str | None:
    """Return the condition for the rows of chunk ``index`` ('' for all); None when the plan no longer holds."""
    key = key_of(columns)
    if [column.name for column in key] != plan["key"]:
        return None
    bounds = [tuple(map(bytes.fromhex, bound)) for bound in plan["bounds"]]
    parts = []
    if index > 0:
        parts.append(from_(key, bounds[index - 1]))
    if index < len(bounds):
        parts.append(f"NOT {from_(key, bounds[index])}" if len(key) > 1 else _below(key[0], bounds[index][0]))
    return " AND ".join(parts)


def from_(key: Sequence[ColumnMeta], bound: Bound) -> str:
    """Return the condition for rows at or behind a key, in the order of the key.

    Spelled out column by column: comparisons of whole rows do not use the index. The first term lets it.
    """
    first = f"{quoted(key[0].name)} >= {literal(key[0], bound[0])}"
    return f"({first} AND {_at_or_behind(key, bound)})" if len(key) > 1 else first


def behind(key: Sequence[ColumnMeta], bound: Bound) -> str:
    """Return the condition for rows behind a key."""
    equal = " AND ".join(f"{quoted(c.name)} = {literal(c, v)}" for c, v in zip(key, bound, strict=True))
    return f"({from_(key, bound)} AND NOT ({equal}))"


def is_key(key: Sequence[ColumnMeta], bound: Bound) -> str:
    """Return the condition for the row of a key."""
    return "(" + " AND ".join(f"{quoted(c.name)} = {literal(c, v)}" for c, v in zip(key, bound, strict=True)) + ")"


def _at_or_behind(key: Sequence[ColumnMeta], bound: Bound) -> str:
    name, value = quoted(key[0].name), literal(key[0], bound[0])
    if len(key) == 1:
        return f"{name} >= {value}"
    return f"({name} > {value} OR ({name} = {value} AND {_at_or_behind(key[1:], bound[1:])}))"


def _below(column: ColumnMeta, value: bytes) -> str:
    return f"{quoted(column.name)} < {literal(column, value)}"
