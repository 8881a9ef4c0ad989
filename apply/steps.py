"""What the planner asks of the writer: the fewest set-wise steps with the same result as the events one by one.

Values are COPY text by column position of one table version (None = NULL). A plan's steps run in the order given;
within a step the order of rows does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from apply.column_rows import ColumnRows, FullRow

#: The key columns of one row, in key order.
Key = tuple[bytes, ...]
#: Rows of a step: very many of them are held by column.
Rows = list[FullRow] | ColumnRows


@dataclass(frozen=True, slots=True)
class Truncate:
    """Remove all rows. ``opening``: a snapshot of the table begins with it (see apply.opening)."""

    opening: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the rows with these keys, as far as they exist."""

    keys: list[Key]


@dataclass(frozen=True, slots=True)
class Patch:
    """Set some columns of existing rows; the others were not sent and keep their values.

    ``columns`` are column positions, ``values[i]`` their new values in the row that has ``keys[i]`` now. Every row
    must exist, except while its table is loading.
    """

    columns: tuple[int, ...]
    keys: list[Key]
    values: list[FullRow]


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """Give existing rows new keys, keeping the columns that were not sent: patches whose columns include the key.

    ``crossing``: a new key of one row is the present key of another (swaps, chains), so that no order of single
    updates need exist without a clash; the rows must be lifted out and put back.
    """

    patches: tuple[Patch, ...]
    crossing: bool


@dataclass(frozen=True, slots=True)
class Upsert:
    """Insert whole rows, replacing those with the same key.

    ``created``: they come from inserts or a snapshot alone, so most likely none of the keys exists yet.
    """

    rows: Rows
    created: bool


@dataclass(frozen=True, slots=True)
class Insert:
    """Add rows to a table without a key; equal rows are added as often as they are listed."""

    rows: Rows


@dataclass(frozen=True, slots=True)
class Erase:
    """Remove ``counts[i]`` of the rows equal to ``rows[i]``, in a table without a key; so many must exist."""

    rows: list[FullRow]
    counts: list[int]


Step = Truncate | Delete | Patch | KeyUpdate | Upsert | Insert | Erase


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one batch of one table version.

    ``missing`` counts events that change part of a row which the batch itself shows not to exist. ``crowded`` lists
    keys at which, in a transaction that goes on, another row may still stand (a deferrable key). ``by_reference``
    counts events held by column that had to be looked at one by one.
    """

    steps: list[Step]
    missing: int = 0
    crowded: tuple[Key, ...] = ()
    by_reference: int = field(default=0, compare=False)
