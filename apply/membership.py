"""The pipeline's consumer group: its name, what a member of it is set to, and what it has not handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import ConsumerGroupState, KafkaException

from runtime import kafka

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka.admin._group import ConsumerGroupDescription


def group_of(pipeline: str) -> str:
    """Return the name of a pipeline's consumer group."""
    return f"ferryman.{pipeline}"


def left_over(admin: kafka.Admin, group: str, topics: Iterable[str]) -> set[str]:
    """Return which of these topics have a partition that no member has, though the group is at rest.

    A topic that does not exist is none of them. Where the brokers do not answer, nothing is known and none returned.
    """
    try:
        described = admin.describe_consumer_groups([group], request_timeout=kafka.TIMEOUT_S)[group]
        standing = described.result(kafka.TIMEOUT_S + 5)
        if standing.state != ConsumerGroupState.STABLE:
            return set()
        held = _held(standing)
        return {place[0] for place in kafka.partitions(admin, topics) if place not in held}
    except (KafkaException, kafka.KafkaUnavailable):
        return set()


def _held(standing: ConsumerGroupDescription) -> set[tuple[str, int]]:
    assigned = [member.assignment.topic_partitions for member in standing.members if member.assignment is not None]
    return {(place.topic, place.partition) for places in assigned for place in places}


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
