"""One target transaction: fence, tables, rows, counts, checkpoint, commit."""

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
    """Applies batches of one partition through a session.

    A batch that is not complete leaves the transaction open, and the next one goes on in it. ``policy`` is
    apply.evolution, ``rules`` are the pipeline's ``types``.
    """

    def __init__(self, session: Session, work: Work, policy: evolution.Policy, rules: TypeRules = NO_RULES) -> None:
        self._session, self._work, self._policy, self._rules = session, work, policy, rules
        self._made = False

    def apply(self, batch: Batch) -> None:
        """Write a batch, and commit it with its checkpoint if it ends at an end mark.

        Raises Fenced, Moved, Blocked, ContractError or an error of the driver. Unless it was Moved, nothing was
        committed, or the outcome of COMMIT is unknown: the next fence tells.
        """
        planned = [(run, plan(run)) for run in versions(batch.received)]
        failpoints.hit("apply.before_begin")
        if self._work.session is None:
            self._fence()
        for run, steps in planned:
            telemetry.planned_by_reference(run[0].table, steps.by_reference)
            try:
                self._write(run, steps, loading=batch.loading)
            except errors.InsufficientPrivilege as error:
                raise Blocked(postgres.describe(error), _PRIVILEGE_FIX) from None
        with self._session.together():
            if batch.received:
                self._count(batch, sum(steps.by_reference for _, steps in planned))
            done = self._save(batch) if batch.complete else None
        if done is not None:
            failpoints.hit("apply.committed")
            self._work.checkpoint = done
            self._work.partition.saved = batch.next_offset

    def _fence(self) -> None:
        known = self._work.checkpoint
        if known is None:
            raise Fenced
        standing = checkpoint.fence(self._session, self._work.place, known.epoch)
        failpoints.hit("apply.locked")
        if self._work.rebuild:
            self._session.execute(_DEFER)
        if standing[:2] != known[:2]:
            raise Moved(standing)

    def _write(self, run: list[AnyReceived], steps: Plan, *, loading: bool) -> None:
        opening = any(isinstance(step, Truncate) and step.opening for step in steps.steps)
        statements = self._statements(run[0].table, opening=opening)
        if opening:
            self._permit_opening(statements)
        writer = Writer(self._session, statements, rebuild=self._work.rebuild)
        if steps.crowded and writer.stands(list(steps.crowded)):
            raise Blocked(*CROWDED)
        missing = writer.write(steps)
        if missing and not loading:
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

    def _count(self, batch: Batch, planned_by_reference: int) -> None:
        work = self._work
        now = "loading" if work.partition.is_loading(batch.order_key) else "streaming"
        columns = [column.name for column in batch.received[-1].table.columns]
        by_row = sum(len(one) for one in batch.received if isinstance(one, Received))
        counts = state.tally(batch.received)
        done = state.Applied(now, counts, columns, self._made, by_row + planned_by_reference)
        state.applied(self._session, work.place, work.table, done)
        work.state = now

    def _save(self, batch: Batch) -> Checkpoint:
        """Move the checkpoint and commit, once the server has come so far."""
        work, known = self._work, self._work.checkpoint
        if known is None:
            raise Fenced
        failpoints.hit("apply.before_checkpoint")
        done = Checkpoint(batch.next_offset, batch.order_key, work.topic_id, work.leader_epoch, known.epoch)
        checkpoint.save(self._session, work.place, done, batch.committed_us)
        failpoints.hit("apply.before_commit")
        self._session.commit()
        return done


def versions(received: list[AnyReceived]) -> list[list[AnyReceived]]:
    """Return the events grouped by table version, in order."""
    return [list(run) for _, run in groupby(received, key=lambda one: one.table)]
