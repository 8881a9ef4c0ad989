"""The rows of a MySQL table as lines of COPY text: read, converted and written as capture and apply would do it.

So a row that went through the topics and one that comes this way are the same value to PostgreSQL, whose own functions
then compare them: whatever capture and apply do to a value is done here by the very same code.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pymysql.cursors import SSCursor

from apply.copy_lines import copy_lines
from apply.types import renderer
from capture.sources.mysql.policy import Policy
from capture.sources.mysql.query import literal, select_list
from capture.sources.mysql.row_images.forms import selected
from capture.sources.mysql.values import converter, is_vector
from runtime.mysql import quote
from schemas.copy_text import escape
from schemas.table import Kind
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymysql.connections import Connection

    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from operate.validate.compare import Id
    from schemas.table import Column

#: Values that PostgreSQL has no place for stay as they are.
KEEP: Final = Policy()

#: Rows taken from the driver at a time.
_FETCH: Final = 2_000

#: Kinds whose source form is what PostgreSQL reads, but for the escapes of COPY.
_TEXTS: Final = frozenset({Kind.INT16, Kind.INT32, Kind.INT64, Kind.DECIMAL, Kind.STRING, Kind.ENUM, Kind.JSON})

#: Kinds of key columns that both servers sort alike, and write alike.
SORTED_ALIKE: Final = frozenset({Kind.INT16, Kind.INT32, Kind.INT64, Kind.DECIMAL})
#: Kinds of key columns whose text in PostgreSQL can be asked for at the source.
_ASKABLE: Final = SORTED_ALIKE | {Kind.STRING, Kind.ENUM}


@dataclass(frozen=True, slots=True)
class MySQLTable:
    """A table at the source: its columns as the catalog describes them and as they travel, in the same order.

    ``policy`` says what capture makes of values that PostgreSQL has no place for.
    """

    database: str
    name: str
    metas: tuple[ColumnMeta, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    policy: Policy = KEEP

    @property
    def key_columns(self) -> list[tuple[ColumnMeta, Column]]:
        """The key's columns in the key's order."""
        by_name = {meta.name: (meta, column) for meta, column in zip(self.metas, self.columns, strict=True)}
        return [by_name[name] for name in self.key]

    @property
    def askable(self) -> bool:
        """Whether rows can be looked for by ids as PostgreSQL writes them."""
        kinds = SORTED_ALIKE if self.policy.symbol else _ASKABLE
        return bool(self.key) and all(column.type.kind in kinds for _, column in self.key_columns)

    def line(self) -> Callable[[Sequence[bytes | None]], list[bytes | None]]:
        """Return what makes COPY text of a row as the raw driver gives it."""
        makers = [_maker(meta, column, self.policy) for meta, column in zip(self.metas, self.columns, strict=True)]

        def made(row: Sequence[bytes | None]) -> list[bytes | None]:
            return [None if value is None else make(value) for make, value in zip(makers, row, strict=True)]

        return made

    # --- statements --------------------------------------------------------------------------------------------------

    def select(self, where: str) -> str:
        """Return the statement that reads the rows of a condition."""
        return f"SELECT {select_list(self.metas)} FROM {quote(self.database, self.name)} WHERE {where}"

    def border(self, low: Id | None, rows: int) -> str:
        """Return the statement for the key ``rows`` rows above ``low``; no row when fewer are left."""
        metas = [meta for meta, _ in self.key_columns]
        names = ", ".join(quote(meta.name) for meta in metas)
        return (
            f"SELECT {select_list(metas)} FROM {quote(self.database, self.name)} "
            f"WHERE {self.within(low, None)} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}"
        )

    def within(self, low: Id | None, high: Id | None) -> str:
        """Return the condition for keys above ``low``, up to and including ``high``."""
        conditions = [] if low is None else [self._beyond(low, ">", equal=False)]
        conditions += [] if high is None else [self._beyond(high, "<", equal=True)]
        return " AND ".join(conditions) or "TRUE"

    def among(self, ids: Sequence[Id]) -> str:
        """Return the condition that finds these ids, and perhaps others that the server takes for the same."""
        names = ", ".join(quote(meta.name) for meta, _ in self.key_columns)
        wanted = ", ".join(f"({', '.join(self._literals(one))})" for one in ids)
        return f"({names}) IN ({wanted})"

    def _beyond(self, border: Id, sign: str, *, equal: bool) -> str:
        """Return the comparison of the key with a border, spelled out: row values would not use the index."""
        names = [quote(meta.name) for meta, _ in self.key_columns]
        values = self._literals(border)
        parts = []
        for i, name in enumerate(names):
            same = [f"{names[k]} = {values[k]}" for k in range(i)]
            last = f"{sign}=" if equal and i == len(names) - 1 else sign
            parts.append(" AND ".join([*same, f"{name} {last} {values[i]}"]))
        return f"({' OR '.join(f'({part})' for part in parts)})"

    def _literals(self, one: Id) -> list[str]:
        return [literal(meta, text.encode()) for (meta, _), text in zip(self.key_columns, one, strict=True)]


def _maker(meta: ColumnMeta, column: Column, policy: Policy) -> Callable[[bytes], bytes]:
    """Return what makes COPY text of a column's value as the select list gives it."""
    form, convert, render = selected(meta), converter(column, policy), renderer(column.type)
    if column.type.kind in (SORTED_ALIKE if policy.symbol else _TEXTS) and not is_vector(column):
        return escape if form is None else lambda value: escape(form(value))

    def make(value: bytes) -> bytes:
        found = convert(value if form is None else form(value))
        return escape(found.encode()) if isinstance(found, Verbatim) else render(found)

    return make


@contextmanager
def batches(connection: Connection[Any], table: MySQLTable, where: str) -> Iterator[Iterator[bytes]]:
    """Give the rows of a condition as COPY lines, some rows at a time, while the server still reads them.

    Left before the end, the connection is closed: the rest of the rows would have to be read. Raises the driver's
    errors and UnreadableValue.
    """
    cursor = connection.cursor(SSCursor)
    try:
        cursor.execute(table.select(where))
        yield _lines(cursor, table)
    except BaseException:
        connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - close() would read on
        raise
    cursor.close()


def _lines(cursor: SSCursor, table: MySQLTable) -> Iterator[bytes]:
    line = table.line()
    while rows := cursor.fetchmany(_FETCH):
        yield copy_lines(map(line, rows))
