"""The pipeline's consumer group: its name, what a member of it is set to, and what it has not handed out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaException

from runtime import kafka

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin._metadata import GroupMetadata


#: All events of a table stand in this partition of its topic, because order holds within a partition alone. If somebody
#: gives the topic more of them, those stay empty, and are nobody's.
PARTITION: Final = 0


class Group:
    """A pipeline's consumer group as the brokers know it; ``admin`` asks them."""

    def __init__(self, admin: kafka.Admin, pipeline: str) -> None:
        self.name = f"ferryman.{pipeline}"
        self._admin = admin

    def standing(self) -> GroupMetadata | None:
        """Return its state and members, None if there is no such group. Raises KafkaException."""
        # Not describe_consumer_groups: librdkafka 2.16 aborts the process when the brokers go away while it waits for
        # the coordinator (an assertion in rd_kafka_enq_once_del_source_return).
        for found in self._admin.list_groups(self.name, timeout=self._admin.timeout_s):
            if found.id == self.name:
                if found.error is not None:
                    raise KafkaException(found.error)
                return found
        return None

    def left_over(self, topics: Iterable[str]) -> set[str]:
        """Return which of these topics have events that no member reads, though the group is at rest.

        A topic that does not exist is none of them. Where the brokers do not answer, nothing is known and none
        returned.
        """
        try:
            found = self.standing()
            if found is None or found.state != "Stable":
                return set()
            held = {place for member in found.members for place in held_by(member.assignment or b"")}
            there = kafka.partitions(self._admin, topics)
            return {topic for topic, number in there if number == PARTITION and (topic, number) not in held}
        except (KafkaException, kafka.KafkaUnavailable):
            return set()


def held_by(assignment: bytes) -> set[tuple[str, int]]:
    """Return the (topic, partition) of a member's assignment, none for an empty one.

    Format: ConsumerProtocolAssignment, all versions (Kafka's message definitions): version int16, array of topic
    (string, array of int32), then what we do not need. Raises struct.error when it is cut short.
    """
    held: set[tuple[str, int]] = set()
    if not assignment:
        return held
    _, topics = struct.unpack_from(">hi", assignment)
    at = 6
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", assignment, at)
        name = assignment[at + 2 : at + 2 + length].decode()
        (count,) = struct.unpack_from(">i", assignment, at + 2 + length)
        at += 6 + length
        held |= {(name, number) for number in struct.unpack_from(f">{count}i", assignment, at)}
        at += 4 * count
    return held


def settings(instance: str | None, session_timeout_ms: int) -> dict[str, Any]:
    """Return the settings of a member. Cooperative: a replica that comes or goes disturbs only what moves.

    The sticky assignor spreads single partitions; the default one would give partition 0 of every topic to one member.
    """
    found: dict[str, Any] = {
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_timeout_ms,
        "heartbeat.interval.ms": max(session_timeout_ms // 3, 100),
        "max.poll.interval.ms": max(3_600_000, session_timeout_ms),  # one statement at the target may take that long
        # Compressed: a megabyte of small rows may be a hundred thousand messages, and the client keeps more of each
        # than its bytes.
        "fetch.message.max.bytes": 1024 * 1024,
        "queued.min.messages": 50_000,
        # A queue that was full is looked at again soon: by default the client would starve us for most of a second.
        "fetch.queue.backoff.ms": 10,
        "enable.partition.eof": False,
    }
    return found | ({"group.instance.id": instance} if instance else {})
