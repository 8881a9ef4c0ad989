"""Writes a plan by lifting every touched row out of the table before anything is put back.

Slower than apply.writer's ways, but the order of single changes does not matter: swapped keys, a unique value handed
from row to row, columns that UPDATE may not set, and keys without a unique index all come out right. Columns that only
the target has keep their values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from apply import catalog
from apply.copy_lines import selected
from apply.sql import Statements
from apply.staging import Staging
from apply.steps import Delete, KeyUpdate, Patch, Plan, Truncate, Upsert

if TYPE_CHECKING:
    from apply.column_rows import FullRow
    from apply.session import Session


class Rebuilder:
    """Writes plans of one keyed table version."""

    def __init__(self, session: Session, statements: Statements) -> None:
        self._session, self._sql = session, _as_of_now(session, statements)
        self._staging = Staging(session, self._sql)

    def write(self, plan: Plan) -> int:
        """Run the plan; return how many rows that must exist were missing. Raises the driver's errors."""
        self._session.stage(self._sql.lifted, self._sql.create_lifted())
        missing = plan.missing
        for step in plan.steps:
            match step:
                case Truncate():
                    self._session.run(self._sql.truncate())
                case Delete(keys):
                    self._staging.keys(keys)
                    self._session.run(self._sql.delete_staged())
                case KeyUpdate(patches):
                    missing += sum(self._lift(patch) for patch in patches)
                case Patch():
                    missing += self._lift(step)
        # Whole rows come last, because their staged copies must stay until everything is lifted.
        self._upsert([row for step in plan.steps if isinstance(step, Upsert) for row in step.rows])
        self._session.run(self._sql.put_back())
        return missing

    def _lift(self, patch: Patch) -> int:
        columns = self._staging.patch(patch)
        return len(patch.keys) - self._session.run(self._sql.lift(columns)).rowcount

    def _upsert(self, rows: list[FullRow]) -> None:
        if rows:
            layout = self._sql.layout
            self._staging.keyed_rows(selected(rows, layout.positions))
            self._session.run(self._sql.lift(range(len(layout.columns))))
            self._session.run(self._sql.insert_unlifted())


def _as_of_now(session: Session, statements: Statements) -> Statements:
    """Return the SQL for all columns that the table has now: of one that somebody added, no value may get lost."""
    session.run(statements.hold_columns())
    layout = statements.layout
    found = catalog.read_table(session, layout.table.namespace, layout.table.name)
    return Statements(replace(layout, table=found)) if found is not None else statements
