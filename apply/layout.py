"""How the columns of a table version lie in the target's table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of the target's table.

    ``type`` is PostgreSQL's own spelling. ``stage_type`` is the type of its copy in a staging table: a domain's base
    type, because staging columns may stay empty, and with the column's collation.
    ``always``: GENERATED ALWAYS AS IDENTITY, which UPDATE may not set.
    """

    name: str
    type: str
    stage_type: str
    not_null: bool = False
    generated: bool = False
    always: bool = False


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table of the target as its catalog shows it.

    ``unique`` holds the column sets of the unique indexes that ON CONFLICT can use. ``referenced``: foreign keys of
    other tables point at it. ``acting``: a foreign key of its own by which the target would remove or change its rows
    when we write to another table. ``acted_on``: tables with such a key to this one, as (schema, table, key).
    ``triggers`` stands for those that the table has, foreign keys' among them (None: in our session they rest).
    """

    namespace: str
    name: str
    columns: tuple[TargetColumn, ...]
    unique: frozenset[frozenset[str]] = frozenset()
    referenced: bool = False
    acting: str | None = None
    acted_on: tuple[tuple[str, str, str], ...] = ()
    oid: int = 0
    triggers: str | None = None

    def column(self, name: str) -> TargetColumn | None:
        """Return the column of this name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which values of a row go where: everything that SQL for one table version is made of.

    ``positions[i]`` is the place, in a row of the table version, of the value for ``columns[i]``. ``key`` are indexes
    into ``columns``. ``arbiter``: a unique index on exactly the key lets ON CONFLICT find the standing row.
    ``created``: the table was made in this very transaction.
    """

    table: TargetTable
    columns: tuple[TargetColumn, ...]
    positions: tuple[int, ...]
    key: tuple[int, ...]
    arbiter: bool
    created: bool = field(default=False, compare=False)

    @property
    def updatable(self) -> bool:
        """Whether UPDATE may set every column, and ON CONFLICT can find the row with a key."""
        return self.arbiter and not any(column.always for column in self.columns)
