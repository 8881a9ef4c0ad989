"""Makes the target equal to the source in rows that differ, without getting in the way of apply.

Apply begins every transaction by locking the checkpoint row of its partition. A repair reads the ids at the source,
waits until everything committed before is in the target, and then takes that lock: the target now stands still at a
state of the source that is no older than that reading. It reads the source again. Rows that were not written between
the two readings are, at every state in between, what they are now, so that is what the target must hold: they are
written, read back, and committed. No event about them is waiting that apply could apply on top. Ids that were written
meanwhile are tried again.

Where an id is no unique key, or the source has no row of it, rows may have come and gone between the two readings. They
would be new in the target, so the target's rows must be the very versions that were there before the first reading. So
it is with all rows of a source that shows no versions of its own (MySQL): two equal readings there do not tell that a
row was not changed and changed back, but apply would have written it in between. One trace is missing then: a row that
the target lacks, deleted at the source and inserted again as it was, may come a little before its own event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from operate.validate.compare import ABSENT, Id, Seen, Sum
from operate.validate.queries import Queries
from operate.validate.side import PostgresSide
from runtime.errors import FerrymanError
from runtime.postgres import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psycopg

    from operate.validate.lag import Lag
    from operate.validate.queries import Statement
    from operate.validate.shape import Plan
    from operate.validate.side import Side

#: Ids repaired in one transaction: apply waits for it.
_AT_ONCE: Final = 1_000
#: Rounds for ids that are written all the time.
_ROUNDS: Final = 30

_STAGE: Final = "ferryman_repair"

_LOCK: Final = """
SELECT count(*) FROM (SELECT FROM ferryman.checkpoint WHERE pipeline = %s AND topic = %s
                      ORDER BY partition FOR UPDATE) locked"""


class CannotRepair(FerrymanError):
    """A table was left as it was found, or partly repaired; the next `validate --repair` goes on."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoint rows of one table's topic: (pipeline, topic), and how many partitions it has."""

    pipeline: str
    topic: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Readings:
    """What a round has read of its ids, in this order. ``there``: while apply waits, as in ``last``."""

    before: Mapping[Id, Seen]
    first: Mapping[Id, Seen]
    there: Mapping[Id, Seen]
    last: Mapping[Id, Seen]

    def settled(self, one: Id, *, unique: bool) -> bool:
        """Whether the source has, where the target stands, what it has now of this id.

        ``unique``: an id has one row at most at the source, and an equal reading is the same version of it.
        """
        if self.first.get(one) != self.last.get(one):
            return False
        return (unique and one in self.last) or self.before.get(one) == self.there.get(one)


class Repair:
    """The repair of one table. ``source`` is its side there, ``target`` a connection that apply would use.

    ``lock_s``: seconds to wait for a transaction of apply, which may take a while.
    """

    def __init__(
        self,
        plan: Plan,
        source: Side,
        target: psycopg.Connection[Any],
        lag: Lag,
        checkpoints: Checkpoints,
        lock_s: float,
    ) -> None:
        self._plan, self._lag, self._checkpoints, self._lock_s = plan, lag, checkpoints, lock_s
        self._source, self._target = source, target
        self._theirs = Queries(plan, plan.target)
        self._target_side = PostgresSide(target, plan, plan.target)

    def run(self, ids: Sequence[Id]) -> int:
        """Repair the rows of these ids; return how many ids had to be. Raises CannotRepair, psycopg.Error."""
        repaired = 0
        for start in range(0, len(ids), _AT_ONCE):
            pending = list(ids[start : start + _AT_ONCE])
            for _ in range(_ROUNDS):
                settled, written = self._round(pending)
                repaired += written
                pending = [one for one in pending if one not in settled]
                if not pending:
                    break
            if pending:
                raise CannotRepair(f"{len(pending)} rows are written all the time", fix="repair at a quieter time")
        return repaired

    def _round(self, ids: list[Id]) -> tuple[set[Id], int]:
        """Repair what holds still; return the ids that are settled, and how many of them were wrong."""
        before = self._target_side.lookup(ids)
        self._target.commit()
        first = self._source.lookup(ids)
        if not self._lag.catch_up():
            raise CannotRepair(
                f"the target does not catch up: {self._lag.stuck}", fix="see to the daemons, then repair"
            )
        with self._target.transaction():
            self._hold_apply()
            there = self._target_side.lookup(ids)
            with self._source.frozen():
                last = self._source.lookup(ids)
                readings = Readings(before, first, there, last)
                unique = self._plan.versioned and bool(self._plan.key)
                settled = {one for one in ids if readings.settled(one, unique=unique)}
                wrong = [one for one in ids if one in settled and _sum(last, one) != _sum(there, one)]
                self._write(wrong, last, there)
            self._check(wrong, last)
        return settled, len(wrong)

    def _hold_apply(self) -> None:
        """Lock the checkpoints, so that apply waits before its next transaction."""
        self._target.execute(f"SET LOCAL lock_timeout = '{duration(self._lock_s)}'".encode())
        locked = self._target.execute(_LOCK, [self._checkpoints.pipeline, self._checkpoints.topic]).fetchone()
        if locked != (self._checkpoints.partitions,):
            raise CannotRepair("apply has no checkpoint for this table yet", fix="start `ferryman apply` first")

    def _write(self, ids: list[Id], source: Mapping[Id, Seen], target: Mapping[Id, Seen]) -> None:
        """Write the source's rows of these ids; a row that is there under its key keeps the target's own columns."""
        kept = [one for one in ids if self._may_update(source.get(one, ABSENT), target.get(one, ABSENT))]
        replaced = [one for one in ids if one not in set(kept)]
        self._run(self._theirs.delete([one for one in replaced if one in target]))
        self._copy([one for one in replaced if one in source], stage=None)
        if kept:
            self._run(self._theirs.make_stage(_STAGE))
            self._copy(kept, _STAGE)
            self._run(self._theirs.update_from(_STAGE))
            self._run(self._theirs.drop_stage(_STAGE))

    def _may_update(self, source: Seen, target: Seen) -> bool:
        one_each = source.sum.rows == target.sum.rows == 1
        return one_each and len(self._plan.columns) > len(self._plan.key) > 0 and not self._plan.fixed

    def _copy(self, ids: list[Id], stage: str | None) -> None:
        """Copy rows from the source, as text that never touches the disk, into the table or the stage."""
        if not ids:
            return
        into = self._theirs.copy_in(stage)
        with self._target.cursor().copy(into.query, into.parameters) as writer:
            for data in self._source.rows(ids):
                writer.write(data)

    def _check(self, ids: list[Id], source: Mapping[Id, Seen]) -> None:
        """Read back what was written; whatever is not as at the source undoes the transaction."""
        now = self._target_side.lookup(ids)
        if any(_sum(now, one) != _sum(source, one) for one in ids):
            raise CannotRepair("the target does not store what the source holds", fix="compare the column types")

    def _run(self, statement: Statement) -> None:
        self._target.execute(statement.query, statement.parameters, prepare=False)


def _sum(seen: Mapping[Id, Seen], one: Id) -> Sum:
    return seen.get(one, ABSENT).sum
