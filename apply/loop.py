"""The guarantee of apply, in the order in which it holds.

    receive -> decode -> drop what was published before -> cut at end marks
    -> begin, lock the checkpoint, write tables and rows, move the checkpoint, commit

Whatever fails before the commit leaves no trace, whatever fails after it is found in the checkpoint. A commit holds
whole source transactions of one table, and each of their events once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
import structlog

from apply import state, telemetry
from apply.decoding import Decoding
from apply.errors import Blocked, Fenced
from apply.recovery import Action, decide, halt_for, reaction_to, refusal
from apply.state import Halt
from apply.transaction import Moved, Transaction, apply_together
from runtime import failpoints, metrics, postgres
from runtime.errors import Unreachable
from runtime.policy import Pause
from runtime.postgres import Reaction
from runtime.settings_types import NO_RULES
from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apply.consumer import PartitionId, TopicConsumer
    from apply.decoding import Reading
    from apply.events import EventReader
    from apply.evolution import Policy
    from apply.ownership import Ownership
    from apply.partition import Batch
    from apply.session import Session
    from apply.work import Work
    from runtime.settings import RetryConfig
    from runtime.settings_types import TypeRules

_log = structlog.get_logger()

#: Memory of events that wait, in bytes, about: above it nothing more is fetched.
_WAITING_BYTES: Final = 256 * 1024 * 1024

#: What can go wrong with a batch.
_FAILURES = (psycopg.Error, Unreachable, Blocked, ContractError, failpoints.FailpointError)


#: Events of a batch that shares a transaction with those of other tables, and how many of them do. A COMMIT and its
#: round trips cost as much as some ten rows; a batch that fails makes the others of its transaction wait once more.
_SMALL, _SHARING = 300, 50


class _Small(NamedTuple):
    partition: PartitionId
    work: Work
    batch: Batch


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop works with; ``follow`` takes in the positions topic and subscribes to what it names."""

    consumer: TopicConsumer
    ownership: Ownership
    reader: EventReader
    follow: Callable[[], None]
    open_session: Callable[[], Session]
    policy: Policy
    retry: RetryConfig
    rules: TypeRules = NO_RULES


class Loop:
    """Applies the partitions that the group gives to this replica, one batch after another.

    ``waiting``: the target or the brokers do not answer, or did not when last asked.
    """

    def __init__(self, parts: Parts) -> None:
        self.waiting = False
        self._parts = parts
        self._works = parts.ownership.works
        self._session = parts.open_session()
        self._decoding, self._behind = Decoding(parts.reader), False
        self._applied: dict[PartitionId, int] = {}
        self._retry, self._retry_at = Pause.passing(parts.retry), 0.0

    def turn(self, wait_s: float) -> None:
        """Take in what has arrived, waiting at most so long for it, and apply all that can be committed.

        Many messages are decoded while those of the turn before are applied, and are applied in the next turn.
        Raises Refused when the target or the brokers say no for good, FerrymanError for what must not be retried.
        """
        readings = self._receive(0.0 if self._behind else wait_s)
        self._guarded(self._parts.follow)
        self._guarded(self._own)
        full = sum(work.waiting.bytes for work in self._works.values()) > _WAITING_BYTES
        self._apply_all(spill=full)
        for reading in readings:
            self._take_in(reading)
        self._behind = bool(readings)
        self._parts.consumer.hold(full)
        self._parts.consumer.note(self._applied)
        self._applied = {}

    def _apply_all(self, *, spill: bool) -> None:
        awake = [found for found in self._works.items() if not found[1].at_rest]
        self._apply_small(awake)
        for partition, work in awake:
            while (batch := self._next(work, spill=spill)) is not None:
                if not self._apply(partition, work, batch):
                    break

    def _apply_small(self, awake: list[tuple[PartitionId, Work]]) -> None:
        """Let small batches of several tables share transactions; what cannot be applied so is applied alone later."""
        small = list[_Small]()
        busy = [found for found in awake if found[1].may_share]
        for partition, work in sorted(busy, key=lambda found: found[0]) if len(busy) > 1 else ():
            batch = self._next(work, spill=False)
            if batch is not None and batch.complete and len(batch) <= _SMALL:
                small.append(_Small(partition, work, batch))
            elif batch is not None:
                work.partition.put_back(batch)
        for first in range(0, len(small), _SHARING):
            self._share(small[first : first + _SHARING])

    def _share(self, group: list[_Small]) -> None:
        started = time.monotonic()
        try:
            apply_together(
                self._session, [(one.work, one.batch) for one in group], self._parts.policy, self._parts.rules
            )
        except (Fenced, Moved, *_FAILURES) as error:
            _log.info("batches.apart", tables=len(group), error=type(error).__name__)
            self._let_go(self._session, error)
            for one in group:
                one.work.partition.put_back(one.batch)
        else:
            for one in group:
                self._committed(one.partition, one.work, one.batch, started)

    def close(self) -> None:
        """Roll back what is open and let go of the target."""
        self._decoding.close()
        for work in self._works.values():
            if work.session is not None:
                work.session.close()
        self._session.close()

    def _receive(self, wait_s: float) -> list[Reading]:
        """Take in few messages at once; return what is being decoded of many."""
        found = self._parts.consumer.poll(wait_s)
        readings = []
        for partition, messages in found.messages.items():
            work = self._works.get(partition)
            if work is not None and work.started and work.poison is None and (fresh := work.fresh(messages)):
                reading = self._decoding.begin(work, fresh)
                if reading.decoded.done():
                    self._take_in(reading)
                else:
                    readings.append(reading)
        for partition in found.gaps:
            self._guarded(partial(self._gap, partition))
        for topic in found.gone:
            self._guarded(partial(self._parts.ownership.gone, self._session, topic))
        if found.messages:
            failpoints.hit("apply.polled")
        return readings

    def _take_in(self, reading: Reading | None) -> None:
        """Let decoded events wait; where their schema cannot be asked for now, they are read again later."""
        while reading is not None:
            work = reading.work
            try:
                decoded = reading.decoded.result()
            except Unreachable as error:
                if reading.is_wanted:
                    self._schema_unreachable(work, error)
                return
            rest = work.take_in(reading.messages, decoded) if reading.is_wanted else None
            reading = self._decoding.begin(work, rest) if rest else None

    def _schema_unreachable(self, work: Work, error: Unreachable) -> None:
        if reaction_to(error) is Reaction.STOP:
            raise refusal(error) from None
        work.rewind()
        self._retry_at = time.monotonic() + self._retry.next()
        self.waiting = True
        _log.warning("schema.retry", table=work.table, error=error.what)

    def _gap(self, partition: PartitionId) -> None:
        work = self._works.get(partition)
        if work is not None and work.started:
            work.started = False
            self._parts.ownership.gap(self._session, work, *self._parts.consumer.bounds(partition))

    def _own(self) -> None:
        """Take over what is new, read on what may be read again, and note which snapshots are complete."""
        ownership = self._parts.ownership
        ownership.check_topics()
        ownership.take_over(self._session)
        ownership.start(self._parts.consumer)
        ownership.note_loaded(self._session)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run what needs the target or the brokers beside batches; what passes by itself is tried again later."""
        if time.monotonic() < self._retry_at:
            return
        try:
            action()
            self._retry.reset()
            self._retry_at = 0.0
        except _FAILURES as error:
            if reaction_to(error) is Reaction.STOP:
                raise refusal(error) from None
            self._let_go(self._session, error)
            self._retry_at = time.monotonic() + self._retry.next()
            self.waiting = True
            _log.warning("target.retry", error=postgres.describe(error))

    def _next(self, work: Work, *, spill: bool) -> Batch | None:
        if work.checkpoint is None or work.blocked or time.monotonic() < work.retry_at:
            return None
        batch = work.partition.take(work.limit, spill=spill)
        if batch is None and work.poison is not None:
            self._halt(work, Halt("blocked", work.poison.reason, "ferryman resync: the table is copied anew"))
        return batch

    def _apply(self, partition: PartitionId, work: Work, batch: Batch) -> bool:
        """Apply one batch; return whether the partition's next one may follow at once."""
        session = work.session or self._session
        started = time.monotonic()
        try:
            Transaction(session, work, batch, self._parts.policy, self._parts.rules).apply()
        except Fenced:
            session.rollback()
            self._parts.ownership.lost(work)
            return False
        except Moved as moved:
            session.rollback()
            return self._moved(work, batch, moved)
        except _FAILURES as error:
            return self._failed(work, batch, error)
        if not batch.complete:
            self._keep_open(work)
            return True
        self._committed(partition, work, batch, started)
        return True

    def _committed(self, partition: PartitionId, work: Work, batch: Batch, started: float) -> None:
        if work.session is not None:
            work.session.close()
            work.session = None
        work.succeeded()
        self._applied[partition] = batch.next_offset
        behind = self._parts.consumer.known_end(partition) - batch.next_offset
        telemetry.committed(work.table, batch, behind, time.monotonic() - started)
        telemetry.state(work.table, work.state)
        self.waiting = False

    def _keep_open(self, work: Work) -> None:
        """The transaction goes on with the next batch: it keeps its session, and the others get another one."""
        if work.session is None:
            work.session, self._session = self._session, self._parts.open_session()

    def _moved(self, work: Work, batch: Batch, moved: Moved) -> bool:
        """The checkpoint is not where we left it: a commit whose answer was lost did happen, or time went back."""
        work.checkpoint = moved.standing
        if batch.complete and moved.standing.next_offset == batch.next_offset:
            _log.info("commit.had_happened", table=work.table)
            work.partition.saved = batch.next_offset
            work.succeeded()
            return True
        _log.warning("checkpoint.moved", table=work.table, offset=moved.standing.next_offset)
        work.rewind()
        return False

    def _failed(self, work: Work, batch: Batch, error: Exception) -> bool:
        """Undo, and do what the error asks for."""
        action = decide(error, work, batch)
        what = postgres.describe(error)
        _log.warning("batch.failed", table=work.table, events=len(batch), error=what, action=action.value)
        metrics.APPLY_ERRORS.labels(type(error).__name__).inc()
        metrics.APPLY_RETRIES.labels(action.value).inc()
        if action is Action.STOP:
            raise refusal(error) from None
        self._undo(work, batch, error)
        if action is Action.BLOCK:
            self._halt(work, halt_for(error))
        elif action in (Action.AGAIN, Action.HALVE):
            work.tried = work.rebuild = True
            work.limit = work.limit if action is Action.AGAIN else max(1, len(batch) // 2)
            return True
        else:
            work.lost += 1
            work.retry_at = time.monotonic() + work.retry.next()
            self.waiting = True
        return False

    def _undo(self, work: Work, batch: Batch, error: Exception) -> None:
        """Roll back; earlier parts of the transaction, which are no longer in memory, must be read again."""
        if work.session is not None:
            work.rewind()
        else:
            self._let_go(self._session, error)
            work.partition.put_back(batch)

    def _let_go(self, session: Session, error: Exception) -> None:
        """Roll back; where the server may have changed, connect anew."""
        if reaction_to(error) in (Reaction.RECONNECT, Reaction.SLOW_RETRY):
            session.close()
        else:
            session.rollback()

    def _halt(self, work: Work, halt: Halt) -> None:
        """The table stands still; it is read again from its checkpoint now and then, and so goes on by itself."""
        _log.error("table.blocked", table=work.table, reason=halt.reason, fix=halt.fix)
        work.block(halt.state, time.monotonic() + work.slow.next())
        telemetry.state(work.table, halt.state)

        def record() -> None:
            state.halted(self._session, work.place, work.table, halt)
            self._session.commit()

        self._guarded(record)
