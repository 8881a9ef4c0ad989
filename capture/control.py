"""The control topic as capture reads it: each request is obeyed once, by its offset in the saved position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from confluent_kafka import TopicPartition

from runtime import kafka
from schemas.control import ControlRecord, decode
from schemas.errors import ContractError
from schemas.naming import control_topic

if TYPE_CHECKING:
    from runtime.config import KafkaConfig, TopicsConfig

log = structlog.get_logger()


class ControlReader:
    """Reads requests from ``offset`` on; :attr:`offset` is the next one to be obeyed."""

    def __init__(self, config: KafkaConfig, topics: TopicsConfig, pipeline: str, offset: int) -> None:
        self.offset = offset
        self._config, self._topic = config, control_topic(pipeline)
        kafka.ensure_topic(config, self._topic, 1, topics.replication_factor, {"retention.ms": "-1"})
        self._consumer = kafka.consumer(config, None)
        self._consumer.assign([TopicPartition(self._topic, 0, offset)])

    def poll(self) -> list[ControlRecord]:
        """Return the requests that came in since the last call, without waiting."""
        requests = []
        for message in self._consumer.consume(100, 0.0):
            error = message.error()
            if error is not None:
                kafka.check(error, self._config)
                continue
            self.offset = int(message.offset() or 0) + 1
            try:
                requests.append(decode(message.value() or b""))
            except ContractError as refused:
                log.warning("control.refused", offset=message.offset(), reason=str(refused))
        return requests

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()
