"""Brings rows into the staging table of a layout, ready for one set-wise statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apply.copy_lines import counted, keyed, picked, selected, stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apply.column_rows import FullRow
    from apply.session import Session
    from apply.sql import Statements
    from apply.steps import Key, Patch, Rows


class Staging:
    """The staging table of one layout; each call empties it first. Values that the target lacks are left out."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session, self._sql = session, statements
        self._index = {position: i for i, position in enumerate(statements.layout.positions)}

    def keys(self, keys: list[Key]) -> None:
        """Stage present keys."""
        self._fill(self._sql.copy_keys(), keys)

    def rows(self, rows: Rows) -> None:
        """Stage whole rows of the layout."""
        self._fill(self._sql.copy_rows(), rows)

    def keyed_rows(self, rows: Rows) -> None:
        """Stage whole rows of the layout together with their own keys."""
        layout = self._sql.layout
        copy = self._sql.copy_keys(range(len(layout.columns)))
        self._fill(copy, keyed(selected(rows, layout.key), rows))

    def counted(self, rows: Rows, counts: list[int]) -> None:
        """Stage whole rows of the layout, each with a number."""
        self._fill(self._sql.copy_counted(), counted(rows, counts))

    def patch(self, patch: Patch) -> list[int]:
        """Stage present keys and new values; return the columns that the values are for."""
        columns, values = self.within(patch)
        self._fill(self._sql.copy_keys(columns), keyed(patch.keys, values))
        return columns

    def within(self, patch: Patch) -> tuple[list[int], list[FullRow]]:
        """Return the columns of the layout that a patch sets, and their values row by row."""
        kept = [i for i, position in enumerate(patch.columns) if position in self._index]
        return [self._index[patch.columns[i]] for i in kept], picked(patch.values, kept)

    def _fill(self, copy: str, rows: Rows | Sequence[FullRow]) -> None:
        self._session.stage(self._sql.stage, self._sql.create_stage())
        self._session.copy(copy, stretches(rows))
