"""Runs the steps of a plan against the target, set-wise. Everything happens in the session's open transaction.

Ways to write rows, fastest first: straight COPY (most likely new rows; undone and done again as an upsert if a key
exists after all), statements with the values of a handful of rows, in one round trip, COPY into a staging table
followed by one statement, and apply.rebuild where those would clash.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from psycopg import errors

from apply.copy_lines import parameters, picked, selected, stretches
from apply.rebuild import Rebuilder
from apply.staging import Staging
from apply.steps import Delete, Erase, Insert, KeyUpdate, Patch, Plan, Step, Truncate, Upsert
from runtime import failpoints

if TYPE_CHECKING:
    from apply.column_rows import FullRow
    from apply.session import Session, Text
    from apply.sql import Statements
    from apply.steps import Key, Rows

#: Up to so many rows, single statements in one round trip beat the staging table. Measured, CPU of both sides in ms for
#: 40 rows: 2.4 against 3.0; for 80: 4.2 against 2.7.
FEW: Final = 50
#: Parameters of one statement, about: what the server keeps of a prepared one grows with them.
_PARAMETERS: Final = 500


class Writer:
    """Writes plans of one table version. ``rebuild``: a unique value may be handed from row to row in the batch."""

    def __init__(self, session: Session, statements: Statements, *, rebuild: bool = False) -> None:
        self._session, self._sql, self._rebuild = session, statements, rebuild
        self._staging = Staging(session, statements)

    def write(self, plan: Plan) -> int:
        """Run the steps in order; return how many rows that must exist were missing.

        Raises the driver's errors; the transaction must then be rolled back.
        """
        if self._must_rebuild(plan):
            return Rebuilder(self._session, self._sql).write(plan)
        missing, empty = plan.missing, self._sql.layout.created
        for i, step in enumerate(plan.steps):
            if i:
                failpoints.hit("apply.mid_batch")
            missing += self._write(step, empty=empty)
            empty = isinstance(step, Truncate)
        return missing

    def asks_nothing(self, plan: Plan) -> bool:
        """Whether the plan is no more than single statements to whose answers nobody would listen."""
        if plan.missing or plan.crowded or self._sql.layout.created or self._must_rebuild(plan):
            return False
        return all(map(_is_few, plan.steps))

    def stands(self, keys: list[Key]) -> bool:
        """Whether the table holds a row with any of these keys."""
        self._staging.keys(keys)
        found = self._session.run(self._sql.any_staged()).fetchone()
        return found is not None and bool(found[0])

    def _must_rebuild(self, plan: Plan) -> bool:
        if any(isinstance(step, KeyUpdate) and step.crossing for step in plan.steps):
            return True
        changes = any(isinstance(step, Patch | KeyUpdate | Upsert) for step in plan.steps)
        if changes and not self._sql.layout.updatable:
            return not self._fills_only(plan)
        return changes and self._rebuild

    def _fills_only(self, plan: Plan) -> bool:
        """Whether the plan is no more than whole rows for a table that is empty by then."""
        match plan.steps:
            case [Truncate(), Upsert()]:
                return True
            case [Upsert()]:
                return self._sql.layout.created
        return False

    def _write(self, step: Step, *, empty: bool) -> int:
        match step:
            case Truncate():
                self._session.run(self._sql.truncate())
            case Delete(keys):
                self._delete(keys)
            case KeyUpdate(patches):
                return sum(self._update(patch) for patch in patches)
            case Patch():
                return self._update(step)
            case Upsert(rows):
                self._upsert(self._own(rows), created=step.created, empty=empty)
            case Insert(rows):
                self._copy(self._own(rows))
            case Erase(rows, counts):
                return self._erase(picked(rows, self._sql.layout.positions), counts)
        return 0

    def _own(self, rows: Rows) -> Rows:
        return selected(rows, self._sql.layout.positions)

    def _delete(self, keys: list[Key]) -> None:
        if len(keys) <= FEW:
            self._session.many(self._sql.delete_one(), map(parameters, keys))
            return
        self._staging.keys(keys)
        self._session.run(self._sql.delete_staged())

    def _update(self, patch: Patch) -> int:
        if len(patch.keys) <= FEW:
            columns, values = self._staging.within(patch)
            rows = [parameters((*new, *key)) for new, key in zip(values, patch.keys, strict=True)]
            affected = self._session.many(self._sql.update_one(columns), rows) if columns else len(rows)
        else:
            columns = self._staging.patch(patch)
            affected = self._session.run(self._sql.update_staged(columns)).rowcount if columns else len(patch.keys)
        return len(patch.keys) - affected

    def _upsert(self, rows: Rows, *, created: bool, empty: bool) -> None:
        if empty:
            self._copy(rows)
        elif len(rows) <= FEW:
            self._upsert_few(list(map(parameters, rows)))
        elif not (created and self._copied(rows)):
            self._staging.rows(rows)
            self._session.run(self._sql.upsert_staged())

    def _upsert_few(self, rows: list[list[Text | None]]) -> None:
        """Upsert rows with their values as parameters: for ten rows half of what ten statements cost both sides."""
        at_once = max(1, _PARAMETERS // len(rows[0])) if rows else 1
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            self._session.fill(self._sql.upsert_few(len(some)), list(chain.from_iterable(some)))

    def _copied(self, rows: Rows) -> bool:
        """Copy rows straight into the table; undo it and return False when one of the keys exists.

        Exact, because the key is unique at the target: a row that stands there cannot be doubled.
        """
        self._session.run("SAVEPOINT straight")
        try:
            self._copy(rows)
        except errors.UniqueViolation:
            self._session.run("ROLLBACK TO SAVEPOINT straight")
            return False
        self._session.run("RELEASE SAVEPOINT straight")
        return True

    def _copy(self, rows: Rows) -> None:
        self._session.copy(self._sql.copy(), stretches(rows))

    def _erase(self, rows: list[FullRow], counts: list[int]) -> int:
        self._staging.counted(rows, counts)
        return sum(counts) - self._session.run(self._sql.erase_staged()).rowcount


def _is_few(step: Step) -> bool:
    match step:
        case Delete(keys):
            return len(keys) <= FEW
        case Upsert(rows):
            return len(rows) <= FEW
    return False
