"""The topics' side: group membership, messages by partition, seeks and pauses. Where to read is never its decision.

Kafka's group only says which replica applies a partition; the offset comes from the target's checkpoint. So nothing of
a newly assigned partition is read until :meth:`TopicConsumer.start` is told where to begin.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from apply import membership
from apply.messages import Messages
from apply.subscription import Subscription
from runtime import kafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apply.membership import Group
    from runtime.config import ApplyConfig, KafkaConfig

_log = structlog.get_logger()

#: Seconds between two commits to the group. Each is a record that the brokers write; the lag it shows needs no more.
_NOTE_S: Final = 1.0

_GAP: Final = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001 - librdkafka's own codes are spelled like this
#: The client is of no use any more; a message that says so is not always marked as fatal.
_EXPELLED: Final = (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)  # noqa: SLF001
_NO_TOPIC: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001


class PartitionId(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Poll(NamedTuple):
    """What one poll brought: messages by partition in offset order, partitions without the next offset, lost topics."""

    messages: dict[PartitionId, Messages]
    gaps: list[PartitionId]
    gone: set[str]


class TopicConsumer:
    """A member of the pipeline's consumer group. ``assigned`` and ``revoked`` are called during :meth:`poll`.

    ``at_once``: most messages that one poll brings, about.
    """

    def __init__(
        self,
        config: KafkaConfig,
        group: Group,
        instance: str | None,
        settings: ApplyConfig,
        at_once: int,
        assigned: Callable[[list[PartitionId]], None],
        revoked: Callable[[list[PartitionId]], None],
    ) -> None:
        self._config, self._group = config, group
        self._settings = membership.settings(instance, settings.session_timeout_ms)
        self._at_once = at_once
        self._assigned, self._revoked = assigned, revoked
        self._subscription = Subscription(settings.look_seconds)
        self._mine: set[PartitionId] = set()
        self._reading: set[PartitionId] = set()
        self._holding = False
        self._noted: dict[PartitionId, int] = {}
        self._note_at = 0.0
        self._expelled_at: float | None = None
        self._expelled_s = settings.expelled_seconds
        self._consumer: Consumer = kafka.consumer(config, group.name, **self._settings)

    def subscribe(self, topics: Iterable[str]) -> None:
        """Take part in the consumption of these topics, from one of the next polls on."""
        self._subscription.want(topics)

    def poll(self, wait_s: float) -> Poll:
        """Return what has arrived, waiting at most so long for the first of it.

        Raises KafkaRefused when the brokers say no for good; what passes by itself is waited out.
        """
        found = Poll({}, [], set())
        try:
            self._follow_subscription()
            first = self._consumer.poll(wait_s)
            rest = self._consumer.consume(self._at_once, 0.0) if first is not None else []
        except KafkaException as error:
            if error.args[0].code() not in _EXPELLED:
                raise
            self._join_anew(error.args[0])
            return found
        if first is not None:
            self._sort([first, *rest], found)
        return found

    def start(self, places: Iterable[tuple[PartitionId, int, int | None]]) -> None:
        """Read partitions of ours, each from an offset on, with the leader epoch of the message before it (KIP-320)."""
        started = []
        for partition, offset, leader_epoch in places:
            self.stop(partition)
            place = TopicPartition(*partition, offset)
            if leader_epoch is not None and leader_epoch >= 0:
                place = TopicPartition(*partition, offset, leader_epoch=leader_epoch)
            started.append(place)
            self._reading.add(partition)
        self._consumer.incremental_assign(started)
        if self._holding:
            self._consumer.pause(started)

    def stop(self, partition: PartitionId) -> None:
        """Read no more of a partition; it stays ours."""
        if partition in self._reading:
            self._consumer.incremental_unassign([TopicPartition(*partition)])
            self._reading.discard(partition)

    def hold(self, wanted: bool) -> None:  # noqa: FBT001 - on or off
        """Fetch nothing more for the time being, or go on."""
        if wanted != self._holding:
            places = [TopicPartition(*partition) for partition in self._reading]
            (self._consumer.pause if wanted else self._consumer.resume)(places)
            self._holding = wanted

    def bounds(self, partition: PartitionId) -> tuple[int, int]:
        """Return the first offset that is still there and the one after the last; raises KafkaUnavailable."""
        try:
            return kafka.watermarks(self._consumer, *partition, self._config.request_timeout_seconds)
        except KafkaException as error:
            raise kafka.unavailable(error, self._config) from None

    def known_end(self, partition: PartitionId) -> int:
        """Return the offset after the last message as far as the client knows without asking."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)[1])

    def note(self, offsets: dict[PartitionId, int]) -> None:
        """Tell the group what is applied, now and then, for tools that show lag; nothing reads it back."""
        self._noted |= offsets
        if self._noted and time.monotonic() >= self._note_at:
            self._commit()

    def close(self) -> None:
        """Leave; a member with a name of its own (``--instance``) keeps its partitions for the session timeout."""
        self._commit()
        self._consumer.close()

    def _commit(self) -> None:
        places = [TopicPartition(*place, offset) for place, offset in self._noted.items() if place in self._mine]
        self._noted, self._note_at = {}, time.monotonic() + _NOTE_S
        try:
            if places:
                self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            _log.debug("group.commit_failed", error=error.args[0].name())

    def _sort(self, messages: list[Message], found: Poll) -> None:
        """Sort by partition what came; a list for each thing that is asked of all of them is far faster."""
        if any(map(Message.error, messages)):
            for message in messages:
                if (error := message.error()) is not None:
                    self._trouble(error, PartitionId(message.topic() or "", message.partition() or 0), found)
            messages = [message for message in messages if message.error() is None]
        for partition, own in _by_partition(messages).items():
            # A message that is no error has an offset.
            offsets = cast("list[int]", list(map(Message.offset, own)))
            found.messages[partition] = Messages(offsets, list(map(Message.value, own)), own[-1].leader_epoch())

    def _trouble(self, error: KafkaError, partition: PartitionId, found: Poll) -> None:
        if error.code() == _GAP:
            found.gaps.append(partition)
        elif error.code() in _NO_TOPIC:
            found.gone.add(partition.topic)
        elif error.fatal() or error.code() in _EXPELLED:
            self._join_anew(error)
        else:
            kafka.check(error, self._config)

    def _follow_subscription(self) -> None:
        topics = self._subscription.next(time.monotonic(), self._left_over)
        if topics:
            self._consumer.subscribe(
                sorted(topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
            )
        elif topics is not None:
            self._consumer.unsubscribe()

    def _left_over(self, topics: frozenset[str]) -> set[str]:
        elsewhere = topics - {partition.topic for partition in self._mine}
        lost = self._group.left_over(elsewhere) if elsewhere else set()
        if lost:
            _log.warning("group.left_over", topics=sorted(lost))
        return lost

    def _join_anew(self, error: KafkaError) -> None:
        """Begin again with a fresh client after the group expelled this one.

        It takes a named member for two when a commit of before an outage arrives after the member has joined again.
        """
        now = time.monotonic()
        if self._expelled_at is not None and now - self._expelled_at < self._expelled_s:
            kafka.check(error, self._config)
        self._expelled_at = now
        _log.warning("group.expelled", error=error.str())
        old, self._consumer = self._consumer, kafka.consumer(self._config, self._group.name, **self._settings)
        self._revoked(list(self._mine))
        self._mine, self._reading = set(), set()
        old.close()
        self._subscription.forget()

    def _assign(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        # To assign with some offset and to seek later would not do: the seek can lose against the first look-up.
        consumer.incremental_assign([])
        partitions = [PartitionId(place.topic, place.partition) for place in places]
        self._mine |= set(partitions)
        self._subscription.answered(time.monotonic())
        self._assigned(partitions)

    def _revoke(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return  # the farewell of a client that was replaced
        partitions = [PartitionId(place.topic, place.partition) for place in places]
        self._mine -= set(partitions)
        self._subscription.answered(time.monotonic())
        self._revoked(partitions)
        consumer.incremental_unassign([TopicPartition(*p) for p in partitions if p in self._reading])
        self._reading -= set(partitions)


def _by_partition(messages: list[Message]) -> dict[PartitionId, list[Message]]:
    if not messages:
        return {}
    # All at once, and plain tuples: whatever is made of each message would cost more than all else done with it here.
    topics, numbers = list(map(Message.topic, messages)), list(map(Message.partition, messages))
    if topics.count(topics[0]) == numbers.count(numbers[0]) == len(messages):
        return {PartitionId(topics[0] or "", numbers[0] or 0): messages}
    found: dict[Any, list[Message]] = {}
    for place, message in zip(zip(topics, numbers, strict=True), messages, strict=True):
        found.setdefault(place, []).append(message)
    return {PartitionId(*place): own for place, own in found.items()}
