"""SQL text for one layout. Pure: names come quoted from runtime.postgres, values only through COPY or parameters.

A staging table has the columns ``n`` (a count), ``k0..`` (the present key) and ``c0..`` (values by column of the
layout), all of the target's own types, so that a value is read and checked as if copied straight into the table.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from runtime.postgres import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apply.layout import Layout

#: Stands for a parameter until the text is complete: no name can hold it.
_PARAMETER = "\0"


class Statements:
    """The statements for a layout; column arguments are indexes into its columns."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.table = quote(layout.table.namespace, layout.table.name)
        self._names = [quote(column.name) for column in layout.columns]
        self._all = range(len(layout.columns))
        self._insert_values = f"INSERT INTO {self.table} ({self._list(self._all)}) OVERRIDING SYSTEM VALUE VALUES"
        self._if_there = self._on_conflict()
        self.stage = "stage_" + hashlib.sha256(self._stage_columns().encode()).hexdigest()[:16]
        self.lifted = "lifted_" + hashlib.sha256(repr(layout.table).encode()).hexdigest()[:16]

    def truncate(self) -> str:
        """Empty the table; DELETE where foreign keys of other tables refer to it, which TRUNCATE refuses."""
        return f"DELETE FROM {self.table}" if self.layout.table.referenced else f"TRUNCATE {self.table}"

    def copy(self) -> str:
        """Take whole rows straight into the table."""
        return f"COPY {self.table} ({self._list(self._all)}) FROM STDIN"

    def create_stage(self) -> str:
        """Make the staging table of this layout; it empties itself at commit."""
        return f"CREATE TEMP TABLE IF NOT EXISTS {quote(self.stage)} ({self._stage_columns()}) ON COMMIT DELETE ROWS"

    def copy_rows(self) -> str:
        """Take whole rows into the staging table."""
        return f"COPY pg_temp.{self.stage} ({_numbered('c', self._all)}) FROM STDIN"

    def copy_counted(self) -> str:
        """Take counts and whole rows into the staging table."""
        return f"COPY pg_temp.{self.stage} (n, {_numbered('c', self._all)}) FROM STDIN"

    def copy_keys(self, columns: Sequence[int] = ()) -> str:
        """Take present keys, and values of some columns, into the staging table."""
        names = [_numbered("k", range(len(self.layout.key))), _numbered("c", columns)]
        return f"COPY pg_temp.{self.stage} ({', '.join(filter(None, names))}) FROM STDIN"

    def delete_staged(self) -> str:
        """Remove the rows that have the staged keys."""
        return f"DELETE FROM {self.table} t USING pg_temp.{self.stage} s WHERE {self._by_key()}"

    def any_staged(self) -> str:
        """Ask whether a row has one of the staged keys."""
        return f"SELECT EXISTS (SELECT FROM {self.table} t JOIN pg_temp.{self.stage} s ON {self._by_key()})"

    def upsert_staged(self) -> str:
        """Insert the staged rows in key order, or replace those that have their keys."""
        return f"{self.insert_staged()} {self._if_there}"

    def insert_staged(self) -> str:
        """Insert the staged rows in key order."""
        order = f" ORDER BY {_numbered('c', self.layout.key)}" if self.layout.key else ""
        return (
            f"INSERT INTO {self.table} ({self._list(self._all)}) OVERRIDING SYSTEM VALUE "
            f"SELECT {_numbered('c', self._all)} FROM pg_temp.{self.stage}{order}"
        )

    def update_staged(self, columns: Sequence[int]) -> str:
        """Set some columns of the rows that have the staged keys."""
        values = ", ".join(f"{self._names[i]} = s.c{i}" for i in columns)
        return f"UPDATE {self.table} t SET {values} FROM pg_temp.{self.stage} s WHERE {self._by_key()}"

    def delete_one(self) -> str:
        """Remove the row with a key; parameters: the key."""
        return _parametrised(f"DELETE FROM {self.table} t WHERE {self._by_parameters()}")

    def upsert_few(self, rows: int) -> str:
        """Insert so many rows or replace those that have their keys; parameters: the values, row after row."""
        return f"{self._insert_values} {_marks(rows, len(self._all))} {self._if_there}"

    def update_one(self, columns: Sequence[int]) -> str:
        """Set some columns of the row with a key; parameters: the values, then the key."""
        values = ", ".join(f"{self._names[i]} = {_PARAMETER}" for i in columns)
        return _parametrised(f"UPDATE {self.table} t SET {values} WHERE {self._by_parameters()}")

    def create_lifted(self) -> str:
        """Make the table that holds rows lifted out of the target's table: the columns that can be put back."""
        names = ", ".join(map(quote, self._kept()))
        return (
            f"CREATE TEMP TABLE IF NOT EXISTS {quote(self.lifted)} ON COMMIT DELETE ROWS AS "
            f"SELECT {names} FROM {self.table} WITH NO DATA"
        )

    def hold_columns(self) -> str:
        """Keep the table's columns as they are until the transaction ends; rows may change."""
        return f"SELECT FROM {self.table} LIMIT 0"

    def lift(self, columns: Sequence[int]) -> str:
        """Move the rows that have the staged keys out of the table, with some columns set to the staged values."""
        new = {self.layout.columns[i].name: f"s.c{i}" for i in columns}
        names = self._kept()
        values = ", ".join(new.get(name, f"t.{quote(name)}") for name in names)
        return (
            f"WITH gone AS ({self.delete_staged()} RETURNING {values}) "
            f"INSERT INTO pg_temp.{self.lifted} ({', '.join(map(quote, names))}) SELECT * FROM gone"
        )

    def put_back(self) -> str:
        """Insert the rows that were lifted out."""
        names = ", ".join(map(quote, self._kept()))
        return f"INSERT INTO {self.table} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM pg_temp.{self.lifted}"

    def insert_unlifted(self) -> str:
        """Insert the staged rows of which no older version was lifted out."""
        same = " AND ".join(f"l.{self._names[i]} = s.c{i}" for i in self.layout.key)
        return (
            f"INSERT INTO {self.table} ({self._list(self._all)}) OVERRIDING SYSTEM VALUE "
            f"SELECT {_numbered('s.c', self._all)} FROM pg_temp.{self.stage} s "
            f"WHERE NOT EXISTS (SELECT FROM pg_temp.{self.lifted} l WHERE {same})"
        )

    def erase_staged(self) -> str:
        """Remove ``n`` of the rows that are equal to each staged row, compared as the text of the whole record.

        Text can be hashed, whatever the columns' types; comparing column by column with IS NOT DISTINCT FROM would
        be a nested loop. Equal text is an equal row: the text form of a record quotes what it must.
        """
        staged = f"ROW({_numbered('c', self._all)})::text"
        standing = f"ROW({', '.join(f't.{name}' for name in self._names)})::text"
        return (
            f"WITH wanted AS (SELECT {staged} AS image, sum(n) AS n FROM pg_temp.{self.stage} GROUP BY 1), "
            f"found AS (SELECT t.tableoid AS tab, t.ctid AS tid, w.n, row_number() OVER (PARTITION BY w.image) AS nth "
            f"FROM {self.table} t JOIN wanted w ON {standing} = w.image) "
            f"DELETE FROM {self.table} t USING found f "
            f"WHERE t.ctid = f.tid AND t.tableoid = f.tab AND f.nth <= f.n"
        )

    def _stage_columns(self) -> str:
        keys = [f"k{i} {self.layout.columns[j].stage_type}" for i, j in enumerate(self.layout.key)]
        values = [f"c{i} {column.stage_type}" for i, column in enumerate(self.layout.columns)]
        return ", ".join(["n bigint", *keys, *values])

    def _on_conflict(self) -> str:
        key = ", ".join(self._names[i] for i in self.layout.key)
        values = [f"{name} = excluded.{name}" for i, name in enumerate(self._names) if i not in self.layout.key]
        return f"ON CONFLICT ({key}) DO " + (f"UPDATE SET {', '.join(values)}" if values else "NOTHING")

    def _kept(self) -> list[str]:
        return [column.name for column in self.layout.table.columns if not column.generated]

    def _list(self, columns: Iterable[int]) -> str:
        return ", ".join(self._names[i] for i in columns)

    def _by_key(self) -> str:
        return " AND ".join(f"t.{self._names[j]} = s.k{i}" for i, j in enumerate(self.layout.key))

    def _by_parameters(self) -> str:
        return " AND ".join(f"t.{self._names[i]} = {_PARAMETER}" for i in self.layout.key)


def _numbered(letter: str, columns: Iterable[int]) -> str:
    return ", ".join(f"{letter}{i}" for i in columns)


@lru_cache(256)
def _marks(rows: int, columns: int) -> str:
    """Return numbered parameters of rows: ``($1, $2), ($3, $4)``."""
    every = (", ".join(f"${row * columns + i + 1}" for i in range(columns)) for row in range(rows))
    return ", ".join(f"({marks})" for marks in every)


def _parametrised(text: str) -> str:
    """Turn parameters into the driver's placeholder, and guard every other percent sign."""
    return text.replace("%", "%%").replace(_PARAMETER, "%s")
