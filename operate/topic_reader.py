"""The messages of any topic from a place on, without a consumer group: reading leaves no trace."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from operate.events import Stored
from runtime import kafka
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Consumer, Message

    from runtime.settings_kafka import KafkaConfig

#: Where to begin: at the oldest message, behind the newest, or at an offset of every partition.
Start = int | str
BEGINNING: Final = "beginning"
END: Final = "end"

_WAIT_S: Final = 0.2
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own code, public under this name


def messages(config: KafkaConfig, topic: str, start: Start, *, follow: bool) -> Iterator[Stored]:
    """Yield a topic's messages, each partition in order, up to its end at the call or (``follow``) for ever.

    Raises BadInput when there is no such topic, KafkaUnavailable when no broker answers.
    """
    with _consumer(config) as consumer:
        try:
            ends = _assign(consumer, topic, start, config.request_timeout_seconds)
            yield from _read(consumer, config, ends, follow=follow)
        except KafkaException as error:
            raise kafka.unavailable(error, config) from None


def _assign(consumer: Consumer, topic: str, start: Start, timeout_s: float) -> dict[int, int]:
    """Start all partitions and return the ends of those that have something to read."""
    found = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if found.error is not None:
        raise BadInput(f"there is no topic {topic}", fix="`ferryman status` shows the tables of a pipeline")
    begin: list[TopicPartition] = []
    ends: dict[int, int] = {}
    for partition in found.partitions:
        low, high = kafka.watermarks(consumer, topic, partition, timeout_s)
        offset = low if start == BEGINNING else high if start == END else min(max(int(start), low), high)
        begin.append(TopicPartition(topic, partition, offset))
        if offset < high:
            ends[partition] = high
    consumer.assign(begin)
    return ends


def _read(consumer: Consumer, config: KafkaConfig, ends: dict[int, int], *, follow: bool) -> Iterator[Stored]:
    while ends or follow:
        for message in consumer.consume(500, _WAIT_S):
            error, partition = message.error(), message.partition() or 0
            if error is None:
                stored = _stored(message)
                if follow or stored.offset < ends.get(partition, 0):
                    yield stored
                if stored.offset + 1 >= ends.get(partition, 0):
                    ends.pop(partition, None)
            elif error.code() == _EOF:  # compaction may have taken the last messages before the end
                ends.pop(partition, None)
            else:
                kafka.check(error, config)


def _stored(message: Message) -> Stored:
    _, timestamp_ms = message.timestamp()
    headers = cast("list[tuple[str, bytes | None]] | None", message.headers())  # the stubs know the producer's forms
    partition, offset = message.partition() or 0, message.offset() or 0
    return Stored(partition, offset, timestamp_ms, message.key(), message.value(), headers)


@contextmanager
def _consumer(config: KafkaConfig) -> Iterator[Consumer]:
    consumer = kafka.consumer(config, None, **{"enable.partition.eof": True})
    try:
        yield consumer
    finally:
        consumer.close()
