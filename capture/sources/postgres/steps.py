"""What the step from one version of a table to the next means for the rows published before it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from capture.sources.postgres.types import UNKNOWN_TYPE, keeps_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capture.sources.postgres.catalog import TypeRef, Version
    from capture.sources.postgres.types import TypeFacts


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's columns as (attnum, name, type oid, modifier), and the names of its key.

    The attnum is the column's own for ever: it tells a renamed column from a new one. (0: dropped at the source before
    the log came to it.) ``gone`` are names of columns dropped since the snapshot; targets still have them.
    """

    columns: tuple[tuple[int, str, int, int], ...]
    key: tuple[str, ...]
    gone: frozenset[str] = frozenset()

    @classmethod
    def of(cls, version: Version) -> Shape:
        """Return the shape of a version."""
        facts, schema = version.facts.columns, version.schema
        return cls(
            tuple(
                (facts[c.name].number if c.name in facts else 0, c.name, c.type_oid, c.typmod)
                for c in version.relation.columns
            ),
            tuple(schema.columns[i].name for i in schema.key),
        )

    @classmethod
    def load(cls, saved: Any) -> Shape:
        """Return the shape that :meth:`dump` wrote."""
        columns, key, gone = saved
        return cls(
            tuple((int(n), str(name), int(t), int(m)) for n, name, t, m in columns),
            tuple(map(str, key)),
            frozenset(map(str, gone)),
        )

    def dump(self) -> Any:
        """Return the shape as JSON."""
        return [[list(column) for column in self.columns], list(self.key), sorted(self.gone)]

    def after(self, before: Shape) -> Shape:
        """Return this shape as the successor of another one, whose dropped columns it remembers."""
        gone = before.gone | {name for _, name, _, _ in before.columns}
        return replace(self, gone=gone - {name for _, name, _, _ in self.columns})

    def types(self) -> set[TypeRef]:
        """Return the types of its columns."""
        return {(type_oid, typmod) for _, _, type_oid, typmod in self.columns}


def loss(before: Shape, after: Shape, version: Version, types: Mapping[TypeRef, TypeFacts]) -> str | None:
    """Return why rows published before a step do not agree with the table any more; None when they still do.

    ``version`` is the one stepped to, ``types`` knows the types of both shapes. A dropped column loses nothing, and a
    new one neither unless the table was rewritten to fill it, or targets still have an older one of its name.
    """
    if before.key != after.key:
        return "its key was changed"
    numbers = {number: name for number, name, _, _ in before.columns if number}
    known = {name: (number, (type_oid, typmod)) for number, name, type_oid, typmod in before.columns}
    for number, name, type_oid, typmod in after.columns:
        if number and numbers.get(number, name) != name:
            return f"column {numbers[number]} was renamed to {name}"
        old_number, old_type = known.get(name, (None, (0, 0)))
        if name in before.gone or (old_number and number and old_number != number):
            return f"column {name} was dropped and added again"
        if old_number is None:
            facts = version.facts.columns.get(name)
            if facts is not None and facts.filled:
                return f"column {name} was added with a default that differs from row to row"
        elif not keeps_values(types.get(old_type, UNKNOWN_TYPE), types.get((type_oid, typmod), UNKNOWN_TYPE)):
            return f"column {name} changed its type"
    return None
