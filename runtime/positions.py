"""The positions topic as everybody but capture reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from runtime import kafka
from schemas.naming import positions_topic
from schemas.positions import Positions

if TYPE_CHECKING:
    from runtime.config import KafkaConfig


def read(config: KafkaConfig, pipeline: str) -> Positions:
    """Return what stands in a pipeline's positions topic now; empty when there is none yet.

    Raises KafkaUnavailable when the brokers cannot be reached.
    """
    standing = Positions()
    for offset, key, value in kafka.read_all(config, positions_topic(pipeline)):
        standing.add(offset, key, value)
    return standing


class Tail:
    """Follows a pipeline's positions topic; :attr:`positions` is what stood there at the last poll."""

    def __init__(self, config: KafkaConfig, pipeline: str) -> None:
        self.positions = Positions()
        self._config, self._topic = config, positions_topic(pipeline)
        self._consumer = kafka.consumer(config, None)
        self._assigned = False

    def poll(self, timeout_s: float = 0.0) -> bool:
        """Take in what is new; whether anything was. Waits at most ``timeout_s`` for the first record."""
        if not self._assigned and not self._assign():
            return False
        changed = False
        while messages := self._consumer.consume(500, 0.0 if changed else timeout_s):
            for message in messages:
                error = message.error()
                if error is not None:
                    kafka.check(error, self._config)
                    continue
                self.positions.add(message.offset() or 0, message.key(), message.value())
                changed = True
        return changed

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()

    def _assign(self) -> bool:
        """Start at the beginning once the topic exists; capture makes it."""
        topics = self._consumer.list_topics(self._topic, timeout=self._config.request_timeout_seconds).topics
        if self._topic not in topics or topics[self._topic].error is not None:
            return False
        self._consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        self._assigned = True
        return True
