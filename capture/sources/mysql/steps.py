"""What the step from one version of a table to the next means for the rows published before it. Pure.

An ALTER TABLE writes no rows: whatever it does to stored values, the log does not tell. A step that keeps every value
is followed; any other is a loss, and the table is copied again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capture.sources.mysql.catalog import ColumnFacts, Version
    from capture.sources.mysql.row_images.column_meta import ColumnMeta

#: Families of types in which a later one holds every value of an earlier one.
_WIDENING: Final = (
    ("tinyint", "smallint", "mediumint", "int", "bigint"),
    ("char", "varchar", "tinytext", "text", "mediumtext", "longtext"),
    ("varbinary", "tinyblob", "blob", "mediumblob", "longblob"),
    ("float", "double"),
)
_SIZED: Final = frozenset({"char", "varchar", "binary", "varbinary"})


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """What of a column must be known to judge a step from it."""

    name: str
    data_type: str
    unsigned: bool
    length: int | None
    precision: int | None
    scale: int | None
    fsp: int | None
    labels: tuple[str, ...]
    nullable: bool

    @classmethod
    def of(cls, meta: ColumnMeta) -> ColumnShape:
        """Return the shape of a column."""
        return cls(
            meta.name, meta.data_type, meta.unsigned, meta.length, meta.precision, meta.scale, meta.fsp, meta.labels,
            meta.nullable,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's columns and the names of its key; ``gone`` are columns dropped since: targets still have them."""

    columns: tuple[ColumnShape, ...]
    key: tuple[str, ...]
    gone: frozenset[str] = frozenset()

    @classmethod
    def of(cls, version: Version) -> Shape:
        """Return the shape of a version."""
        schema = version.schema
        return cls(tuple(map(ColumnShape.of, version.columns)), tuple(schema.columns[i].name for i in schema.key))

    @classmethod
    def load(cls, saved: Any) -> Shape:
        """Return the shape that :meth:`dump` wrote."""
        columns, key, gone = saved
        loaded = tuple(_column(*column) for column in columns)
        return cls(loaded, tuple(map(str, key)), frozenset(map(str, gone)))

    def dump(self) -> Any:
        """Return the shape as JSON."""
        columns = [
            [c.name, c.data_type, c.unsigned, c.length, c.precision, c.scale, c.fsp, list(c.labels), c.nullable]
            for c in self.columns
        ]
        return [columns, list(self.key), sorted(self.gone)]

    def after(self, before: Shape) -> Shape:
        """Return this shape as the successor of another one, whose dropped columns it remembers."""
        gone = before.gone | {column.name for column in before.columns}
        return replace(self, gone=gone - {column.name for column in self.columns})


def _column(*saved: Any) -> ColumnShape:
    name, data_type, unsigned, length, precision, scale, fsp, labels, nullable = saved
    return ColumnShape(name, data_type, unsigned, length, precision, scale, fsp, tuple(labels), nullable)


def loss(before: Shape, after: Shape, facts: Mapping[str, ColumnFacts]) -> str | None:
    """Return why rows published before a step do not agree with the table any more; None when they still do.

    The log does not tell a renamed column from one that was dropped beside one that was added, so that is a loss too.
    """
    if before.key != after.key:
        return "its key was changed"
    old = {column.name: column for column in before.columns}
    added = [column for column in after.columns if column.name not in old]
    dropped = set(old) - {column.name for column in after.columns}
    if added and dropped:
        return f"column {min(dropped)} went and {added[0].name} came: the log does not tell whether it was renamed"
    for column in added:
        reason = _added(column, before.gone, facts.get(column.name))
        if reason is not None:
            return f"column {column.name} {reason}"
    for column in after.columns:
        if column.name in old and not keeps_values(old[column.name], column):
            return f"column {column.name} changed its type"
    return None


def _added(column: ColumnShape, gone: frozenset[str], facts: ColumnFacts | None) -> str | None:
    if column.name in gone:
        return "was dropped and added again"
    if facts is None:
        return "was added and dropped again"
    return None if facts.told else "was added with values in the rows that were there that the log does not tell"


def keeps_values(before: ColumnShape, after: ColumnShape) -> bool:
    """Return whether an ALTER from one type to the other leaves every stored value as it is."""
    if before.nullable and not after.nullable:
        return False  # outside of strict mode a NULL becomes 0 or ''
    if replace(before, nullable=True) == replace(after, nullable=True):
        return True
    return _same_kind(before, after) or _widened(before, after)


def _same_kind(before: ColumnShape, after: ColumnShape) -> bool:
    kind = before.data_type
    if kind != after.data_type or before.unsigned != after.unsigned:
        return False
    if kind in ("enum", "set"):
        return after.labels[: len(before.labels)] == before.labels
    if kind == "decimal":
        whole, more = ((c.precision or 0) - (c.scale or 0) for c in (before, after))
        return before.scale == after.scale and whole <= more
    if kind in ("varchar", "char", "varbinary"):
        return (before.length or 0) <= (after.length or 0)
    if kind in ("time", "datetime", "timestamp"):
        return (before.fsp or 0) <= (after.fsp or 0)
    return kind not in _SIZED


def _widened(before: ColumnShape, after: ColumnShape) -> bool:
    for family in _WIDENING:
        if before.data_type in family and after.data_type in family:
            if family.index(before.data_type) >= family.index(after.data_type):
                return False
            return _fits(before, after)
    return False


def _fits(before: ColumnShape, after: ColumnShape) -> bool:
    if before.data_type.endswith("int"):
        return before.unsigned == after.unsigned or before.unsigned
    if after.data_type == "varchar":
        return (before.length or 0) <= (after.length or 0)
    return not before.data_type.startswith(("char", "varchar")) or after.data_type != "tinytext"
