"""A pipeline as it is while something waits for it: positions, topics and control rows, looked at again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # public, but its stubs leave it out

from operate import applied
from operate.applied import Applied
from operate.waiting import Partition, Verdict, Waiter
from runtime import kafka, positions, postgres
from runtime.errors import BadInput, Refused, Unreachable
from runtime.kafka import KafkaUnavailable
from runtime.positions import Tail

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from operate.waiting import Ask, World
    from runtime.config import Pipeline
    from schemas.positions import Positions

#: Pause between two looks, in seconds: short, because people and scripts wait for the answer.
POLL_S: Final = 0.1


class Follower:
    """The :class:`operate.waiting.World` of a running pipeline. Not thread-safe; use as a context manager.

    Raises Unreachable or Refused when Kafka or the target cannot be reached, psycopg.Error never.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        if pipeline.target is None:
            raise BadInput("this needs the target", "target", "name it under `target:` in the pipeline file")
        self._pipeline, self._conninfo = pipeline, pipeline.target.conninfo
        self._tail = Tail(pipeline.kafka, pipeline.pipeline)
        self._admin = kafka.admin(pipeline.kafka)
        self._target: psycopg.Connection[Any] | None = None
        self._ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Take in the positions topic as it stands: its beginnings alone would tell of troubles long mended."""
        standing = positions.read(self._pipeline.kafka, self._pipeline.pipeline)
        deadline = time.monotonic() + self._pipeline.kafka.request_timeout_seconds
        while not _as_new(self._tail.positions, standing) and time.monotonic() < deadline:
            self._poll(POLL_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._tail.close()
        self._forget_target()

    @property
    def patience_s(self) -> float:
        """How many seconds a halt stands, while apply does not move, until it counts."""
        return self._pipeline.commands.patience_seconds

    def positions(self) -> Positions:
        """Return what stands in the positions topic now."""
        self._poll(0)
        return self._tail.positions

    def applied(self) -> Applied:
        """Return apply's control rows; those of a topic that was made anew since are left out."""
        try:
            found = applied.read(self._connection(), self._pipeline.pipeline)
        except psycopg.Error as error:
            self._forget_target()
            where = postgres.address(self._conninfo)
            raise Unreachable(f"the control tables cannot be read: {postgres.describe(error)}", where) from None
        ids = self._topic_ids({topic for topic, _ in found.checkpoints})
        current = {p: c for p, c in found.checkpoints.items() if ids.get(c.topic) == c.topic_id}
        return Applied(current, found.tables)

    def ends(self, standing: Positions, tables: frozenset[str] | None) -> dict[Partition, int]:
        """Return the end offset of every partition of these tables' topics."""
        wanted = [t for t in standing.tables.values() if tables is None or t.table in tables]
        partitions = [(t.topic, p) for t in wanted for p in range(t.partitions)]
        return end_offsets(self._admin, partitions)

    def clock(self) -> float:
        """Return seconds that only rise."""
        return time.monotonic()

    def _poll(self, timeout_s: float) -> None:
        try:
            self._tail.poll(timeout_s)
        except KafkaException as error:
            raise kafka.unavailable(error, self._pipeline.kafka) from None

    def _topic_ids(self, topics: set[str]) -> dict[str, str]:
        """Return ids by topic; what was asked once is known, because a topic is made anew at teardown only."""
        unknown = topics - self._ids.keys()
        if unknown:
            self._ids |= kafka.topic_ids(self._admin, unknown)
        return self._ids

    def _connection(self) -> psycopg.Connection[Any]:
        if self._target is None:
            self._target = postgres.connect(self._conninfo, application_name="ferryman operate", autocommit=True)
        return self._target

    def _forget_target(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.close()


def _as_new(seen: Positions, standing: Positions) -> bool:
    """Whether all of ``standing`` was taken in: a save's stream record is its last."""
    if seen.run < standing.run:
        return False
    if standing.stream is None:
        return True
    return seen.stream is not None and seen.stream.saved_ms >= standing.stream.saved_ms


def end_offsets(admin: kafka.Admin, partitions: list[Partition]) -> dict[Partition, int]:
    """Return the offset after the last message of each partition that exists; raises KafkaUnavailable."""
    if not partitions:
        return {}
    patience_s = admin.timeout_s
    try:
        return kafka.once_led(
            lambda: _end_offsets(admin, partitions), patience_s, look=lambda: admin.list_topics(timeout=patience_s)
        )
    except KafkaException as error:
        what = f"the ends of the topics are not known: {error.args[0].str()}"
        raise KafkaUnavailable(what, admin.address, "check that all brokers of the cluster run") from None


def _end_offsets(admin: kafka.Admin, partitions: list[Partition]) -> dict[Partition, int]:
    latest = {TopicPartition(topic, p): OffsetSpec.latest() for topic, p in partitions}  # type: ignore[no-untyped-call]
    ends = {}
    for partition, future in admin.list_offsets(latest, request_timeout=admin.timeout_s).items():
        try:
            ends[partition.topic, partition.partition] = int(future.result(admin.timeout_s + 5).offset)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return ends


def follow(world: World, ask: Ask, timeout_s: float, tell: Callable[[Verdict], None] = lambda _: None) -> Verdict:
    """Look until the verdict is final or ``timeout_s`` seconds are over; return the last one.

    ``tell`` is called after every look. An outage that begins meanwhile is waited out; one that is there from the
    beginning, or lasts until the end, is raised as Unreachable.
    """
    waiter, deadline = Waiter(world, ask), time.monotonic() + timeout_s
    verdict: Verdict | None = None
    while True:
        outage = None
        try:
            verdict = waiter.look()
            tell(verdict)
        except Refused:
            raise
        except Unreachable as error:
            if verdict is None:
                raise
            outage = error
        if verdict.done or verdict.failed:
            return verdict
        if time.monotonic() >= deadline:
            if outage is not None:
                raise outage
            return verdict
        time.sleep(POLL_S)
