"""Which partitions are ours: assigned by the group, taken over at the target, started at the checkpoint's offset."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from apply import checkpoint, state
from apply.checkpoint import Place
from apply.membership import PARTITION
from apply.partition import Partition
from apply.state import Halt
from apply.work import Work
from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from apply.checkpoint import Checkpoint
    from apply.consumer import PartitionId, TopicConsumer
    from apply.session import Session
    from runtime.settings import ApplyConfig, RetryConfig
    from schemas.positions import Positions

_log = structlog.get_logger()

#: Partitions that are taken over in one transaction.
_AT_ONCE: Final = 100


class Ownership:
    """The partitions that the group gave to this replica. ``topic_ids`` asks the brokers for topics' ids by name."""

    def __init__(
        self,
        pipeline: str,
        owner: str,
        settings: ApplyConfig,
        retry: RetryConfig,
        topic_ids: Callable[[list[str]], dict[str, str]],
    ) -> None:
        self.works: dict[PartitionId, Work] = {}
        self._pipeline, self._owner, self._settings, self._retry = pipeline, owner, settings, retry
        self._topic_ids = topic_ids
        self._tables: dict[str, tuple[str, bytes | None]] = {}
        self._check_at = 0.0

    def learn(self, positions: Positions) -> set[str]:
        """Take in what capture says: which topic is which table's, and what is loaded; return the topics to read."""
        self._tables = {
            record.topic: (name, bytes.fromhex(record.loaded) if record.loaded else None)
            for name, record in positions.tables.items()
        }
        for work in self.works.values():
            self._tell(work)
        return set(self._tables)

    def assigned(self, partitions: list[PartitionId]) -> None:
        """The group gave us these."""
        for partition in partitions:
            if partition.number != PARTITION:
                continue
            name, _ = self._tables.get(partition.topic, (partition.topic, None))
            self.works[partition] = Work(
                Place(self._pipeline, *partition), name, self._settings.batch_rows, pauses=self._retry
            )
        metrics.APPLY_PARTITIONS.set(len(self.works))

    def revoked(self, partitions: list[PartitionId]) -> None:
        """The group took these away: what is not committed is dropped."""
        for partition in partitions:
            work = self.works.pop(partition, None)
            if work is not None and work.session is not None:
                work.session.close()
        metrics.APPLY_PARTITIONS.set(len(self.works))

    def take_over(self, session: Session) -> None:
        """Become the owner, at the target, of what the group gave us. Raises errors of the driver and the brokers."""
        now = time.monotonic()
        new = [work for work in self.works.values() if work.checkpoint is None and work.retry_at <= now]
        ids = self._topic_ids(sorted({work.place.topic for work in new})) if new else {}
        there = []
        for work in new:
            if work.place.topic in ids:
                work.topic_id = ids[work.place.topic]
                there.append(work)
            else:
                work.retry_at = now + self._settings.look_seconds / 2
                self.gone(session, work.place.topic)
        there.sort(key=lambda work: work.place)  # two replicas must not wait for each other
        for first in range(0, len(there), _AT_ONCE):
            self._take_over(session, there[first : first + _AT_ONCE])

    def check_topics(self) -> None:
        """Now and then compare the topics' ids; one that is gone or made anew must be taken over again.

        The client reads on in a topic that was made anew under the same name.
        """
        now = time.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + self._settings.look_seconds
        ours = [work for work in self.works.values() if work.checkpoint is not None]
        ids = self._topic_ids(sorted({work.place.topic for work in ours}))
        for work in ours:
            if ids.get(work.place.topic) != work.topic_id:
                work.rewind()
                work.checkpoint = None

    def start(self, consumer: TopicConsumer) -> None:
        """Begin to read what was taken over, and what must be read from another place than so far."""
        now, places = time.monotonic(), []
        for partition, work in self.works.items():
            if work.blocked and work.retry_at <= now:
                work.unblock()
            if work.checkpoint is not None and not work.started:
                places.append((partition, work.waiting.position, work.checkpoint.leader_epoch))
                work.started = True
        if places:
            consumer.start(places)

    def note_loaded(self, session: Session) -> None:
        """Record the tables whose snapshot turned out to be complete in the target."""
        for work in self.works.values():
            known = work.checkpoint
            if work.state == "loading" and known is not None and not work.partition.is_loading(known.order_key):
                state.loaded(session, self._pipeline, work.table)
                session.commit()
                work.state = "streaming"

    def lost(self, work: Work) -> None:
        """Another owner has the partition: drop everything, and see later whether the group still gives it to us.

        By then a replica that the group gave up knows it.
        """
        _log.warning("partition.fenced", topic=work.place.topic, partition=work.place.partition)
        work.rewind()
        work.checkpoint = None
        work.retry_at = time.monotonic() + self._settings.fenced_seconds

    def gap(self, session: Session, work: Work, low: int, high: int) -> None:
        """The next offset is not in the topic any more: the table needs a new snapshot, whose events are waited for."""
        if work.checkpoint is None:
            return
        wanted = work.checkpoint.next_offset
        gone = f"offsets {wanted} to {low - 1} of topic {work.place.topic} were deleted before they were applied"
        if wanted > high:
            gone = f"topic {work.place.topic} ends at offset {high}, before {wanted}, which is applied already"
        self._await_snapshot(session, work, gone)
        work.rewind()
        work.unblock()
        work.partition.rewind(low, work.checkpoint.order_key)

    def gone(self, session: Session, topic: str) -> None:
        """The topic does not exist: record it for a table that was applied before, once."""
        name, _ = self._tables.get(topic, (topic, None))
        recorded = state.read(session, self._pipeline, name)
        if recorded is not None and recorded.state != "needs_resync":
            halt = Halt("needs_resync", f"topic {topic} does not exist any more", f"ferryman resync {name}")
            state.halted(session, Place(self._pipeline, topic, 0), name, halt)
            _log.error("table.needs_resync", table=name, reason=halt.reason)
        session.commit()

    def _take_over(self, session: Session, works: list[Work]) -> None:
        """Become the owner of partitions, whose topics have the ids noted, and begin at their checkpoints."""
        places = {work.place: work.topic_id for work in works}
        found = checkpoint.take_over(session, self._owner, places, self._settings.takeover_seconds)
        recorded = state.states(session, self._pipeline, [work.table for work in works])
        session.commit()
        for work in works:
            self._begin(session, work, found[work.place], recorded.get(work.table, ""))

    def _begin(self, session: Session, work: Work, known: Checkpoint, recorded: str) -> None:
        recreated = known.topic_id != work.topic_id
        work.checkpoint, work.state = known, recorded
        awaiting = recreated or work.state == "needs_resync"
        work.partition = Partition(0 if recreated else known.next_offset, known.order_key, awaiting=awaiting)
        work.partition.saved = known.next_offset
        if recreated:
            self._await_snapshot(session, work, f"topic {work.place.topic} was deleted and made anew")
        self._tell(work)
        metrics.APPLY_TAKEOVERS.inc()
        _log.info("partition.taken_over", topic=work.place.topic, offset=work.partition.position, epoch=known.epoch)

    def _await_snapshot(self, session: Session, work: Work, reason: str) -> None:
        work.partition.awaiting = True
        work.state = "needs_resync"
        halt = Halt("needs_resync", reason, f"ferryman resync {work.table}")
        state.halted(session, work.place, work.table, halt)
        session.commit()
        _log.error("table.needs_resync", table=work.table, reason=reason)

    def _tell(self, work: Work) -> None:
        name, loaded = self._tables.get(work.place.topic, (work.table, None))
        work.table = name
        work.note_loaded(loaded)
