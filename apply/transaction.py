"""One target transaction, of one partition or of several: fence, tables, rows, counts, checkpoint, commit."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from psycopg import errors

from apply import catalog, checkpoint, evolution, state, telemetry
from apply.checkpoint import Checkpoint
from apply.errors import Blocked, Fenced
from apply.planner import plan
from apply.rows import CROWDED
from apply.sql import Statements
from apply.steps import Plan, Truncate
from apply.writer import Writer
from runtime import failpoints, postgres
from runtime.settings_types import NO_RULES
from schemas.received import Received

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apply.checkpoint import Place
    from apply.layout import TargetTable
    from apply.partition import Batch
    from apply.session import Session
    from apply.work import Work
    from runtime.settings_types import TypeRules
    from schemas.columnar.received import AnyReceived
    from schemas.table import TableSchema

#: On the second try: what the target's deferrable constraints say of single steps does not count, only of the whole.
_DEFER: Final = "SET CONSTRAINTS ALL DEFERRED"

#: Of one table: the others go on.
_PRIVILEGE_FIX: Final = (
    "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE on the table to the role, or make it the owner; "
    "ferryman goes on by itself"
)
_MISSING_FIX: Final = "run `ferryman validate --repair` or `ferryman resync` for this table"


class Moved(Exception):
    """The checkpoint is not where we left it: the target was restored to an earlier time, or a commit was in doubt."""

    def __init__(self, standing: Checkpoint) -> None:
        super().__init__()
        self.standing = standing


class Transaction:
    """One batch of a partition on its way into the target, through a session.

    A batch that is not complete leaves the target's transaction open, and the next one goes on in it. ``policy`` is
    apply.evolution, ``rules`` are the pipeline's ``types``. What needs no answer in between is left for the end, to be
    sent with counts, checkpoint and COMMIT.
    """

    def __init__(
        self, session: Session, work: Work, batch: Batch, policy: evolution.Policy, rules: TypeRules = NO_RULES
    ) -> None:
        self._session, self._work, self._batch = session, work, batch
        self._policy, self._rules = policy, rules
        self._planned = [(run, plan(run)) for run in versions(batch.received)]
        self._made = False
        self._left: tuple[Writer, Plan] | None = None
        self._written: TargetTable | None = None
        self._done: Checkpoint | None = None

    def apply(self) -> None:
        """Write the batch, and commit it with its checkpoint if it ends at an end mark.

        Raises Fenced, Moved, Blocked, ContractError or an error of the driver. Unless it was Moved, nothing was
        committed, or the outcome of COMMIT is unknown: the next fence tells.
        """
        try:
            self._apply(leave=self._batch.complete and self._work.session is None)
        except errors.InsufficientPrivilege:
            if self._left is None:
                raise
            self._session.rollback()  # on the table, or on ferryman's own? one after another they tell
            self._apply(leave=False)

    def _apply(self, *, leave: bool) -> None:
        failpoints.hit("apply.before_begin")
        if self._work.session is None:
            standing = checkpoint.fence(self._session, _epochs([self._work]))
            failpoints.hit("apply.locked")
            self.check(standing[self._work.place])
        self.write(leave=leave)
        with self._session.together():
            _conclude(self._session, [self])
            if self._batch.complete:
                _commit(self._session)
        self.committed()

    def check(self, standing: Checkpoint) -> None:
        """Compare the locked row with what we know of it; raises Moved or Fenced."""
        known = self._work.checkpoint
        if known is None:
            raise Fenced
        if self._work.rebuild:
            self._session.execute(_DEFER)
        if standing[:2] != known[:2]:
            raise Moved(standing)

    def write(self, *, leave: bool) -> None:
        """Write the rows, all but those that may be left for :meth:`conclude`."""
        self._left = None
        for run, steps in self._planned:
            telemetry.planned_by_reference(run[0].table, steps.by_reference)
            try:
                self._write(run, steps, leave=leave and len(self._planned) == 1)
            except errors.InsufficientPrivilege as error:
                raise Blocked(postgres.describe(error), _PRIVILEGE_FIX) from None

    def finish(self) -> None:
        """Send what is left of the rows, within the session's ``together``."""
        if self._left is not None:
            writer, steps = self._left
            writer.write(steps)
        if self._batch.complete and self._written is not None and self._written.triggers is not None:
            catalog.expect_triggers(self._session, self._written)

    def counted(self) -> state.Applied | None:
        """Return what the batch did, None if it has no events."""
        work, batch = self._work, self._batch
        if not batch.received:
            return None
        work.state = "loading" if work.partition.is_loading(batch.order_key) else "streaming"
        columns = [column.name for column in batch.received[-1].table.columns]
        by_row = sum(len(one) for one in batch.received if isinstance(one, Received))
        by_row += sum(steps.by_reference for _, steps in self._planned)
        counts = state.tally(batch.received)
        return state.Applied(work.place, work.table, work.state, counts, columns, self._made, by_row)

    def move(self) -> checkpoint.Move | None:
        """Return the checkpoint to which a complete batch leads, once the server has come so far."""
        work, batch, known = self._work, self._batch, self._work.checkpoint
        if not batch.complete:
            return None
        if known is None:
            raise Fenced
        failpoints.hit("apply.before_checkpoint")
        self._done = Checkpoint(batch.next_offset, batch.order_key, work.topic_id, work.leader_epoch, known.epoch)
        return checkpoint.Move(work.place, self._done, batch.committed_us)

    def committed(self) -> None:
        """Take note that a complete batch is in the target."""
        if self._done is not None:
            failpoints.hit("apply.committed")
            self._work.checkpoint = self._done
            self._work.partition.saved = self._batch.next_offset

    def _write(self, run: list[AnyReceived], steps: Plan, *, leave: bool) -> None:
        opening = any(isinstance(step, Truncate) and step.opening for step in steps.steps)
        statements = self._statements(run[0].table, opening=opening)
        self._written = statements.layout.table
        if opening:
            self._permit_opening(statements)
        writer = Writer(self._session, statements, rebuild=self._work.rebuild)
        if leave and writer.asks_nothing(steps):
            self._left = writer, steps
            return
        if steps.crowded and writer.stands(list(steps.crowded)):
            raise Blocked(*CROWDED)
        missing = writer.write(steps)
        if missing and not self._batch.loading:
            raise Blocked(f"{missing} rows that were changed at the source are not in the target", _MISSING_FIX)

    def _statements(self, table: TableSchema, *, opening: bool) -> Statements:
        """Return the SQL for a table version, making the target fit when the version is new to this session."""
        name = (table.namespace, table.name)
        known = self._session.known.get(name)
        if known is not None and known[0] == table:
            return known[1]  # type: ignore[no-any-return]  # what is put in below
        recorded = state.read(self._session, self._work.place.pipeline, self._work.table)
        applied = recorded.columns if recorded is not None and not opening else frozenset()
        layout = evolution.ensure(self._session, table, self._policy, applied, self._rules)
        self._made = self._made or layout.created
        # Only this transaction may take the table for empty because it made it.
        self._session.known[name] = (table, Statements(replace(layout, created=False)))
        return Statements(layout)

    def _permit_opening(self, statements: Statements) -> None:
        """Refuse to empty a table that ferryman neither made nor filled: its rows may be somebody's own."""
        work = self._work
        if statements.layout.created or (work.checkpoint is not None and work.checkpoint.order_key is not None):
            return
        recorded = state.read(self._session, work.place.pipeline, work.table)
        if recorded is not None and recorded.made_by_ferryman:
            return
        if not catalog.is_empty(self._session, statements.table):
            raise Blocked(
                f"the target's table {statements.table} holds rows that ferryman did not write",
                f"TRUNCATE {statements.table} at the target if they may go, or exclude the table; "
                "ferryman goes on by itself",
            )


def apply_together(
    session: Session, batches: Iterable[tuple[Work, Batch]], policy: evolution.Policy, rules: TypeRules = NO_RULES
) -> None:
    """Apply complete batches of several partitions in one transaction of the target.

    Raises what :meth:`Transaction.apply` does, for any of them. Nothing was committed then (or the outcome of COMMIT is
    unknown), and one alone may well succeed.
    """
    works = {work.place: (work, Transaction(session, work, batch, policy, rules)) for work, batch in batches}
    failpoints.hit("apply.before_begin")
    standing = checkpoint.fence(session, _epochs(work for work, _ in works.values()))
    failpoints.hit("apply.locked")
    for place, (_, transaction) in works.items():
        transaction.check(standing[place])
    for _, transaction in works.values():
        transaction.write(leave=True)
    with session.together():
        _conclude(session, [transaction for _, transaction in works.values()])
        _commit(session)
    for _, transaction in works.values():
        transaction.committed()


def _epochs(works: Iterable[Work]) -> dict[Place, int]:
    """Return the epochs under which partitions are ours; raises Fenced when one is not."""
    found = {}
    for work in works:
        if work.checkpoint is None:
            raise Fenced
        found[work.place] = work.checkpoint.epoch
    return found


def _conclude(session: Session, transactions: list[Transaction]) -> None:
    """Send what is left of batches, then the counts of all and their checkpoints; COMMIT is the caller's."""
    for transaction in transactions:
        transaction.finish()
    state.applied(session, [done for one in transactions if (done := one.counted()) is not None])
    checkpoint.save(session, [move for one in transactions if (move := one.move()) is not None])


def _commit(session: Session) -> None:
    """Commit."""
    failpoints.hit("apply.before_commit")
    session.commit()


def versions(received: list[AnyReceived]) -> list[list[AnyReceived]]:
    """Return the events grouped by table version, in order."""
    return [list(run) for _, run in groupby(received, key=lambda one: one.table)]
