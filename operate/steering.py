"""The control topic as people write it: requests that a running capture obeys, in the order of their offsets."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from runtime import kafka
from runtime.kafka import KafkaUnavailable
from schemas.control import ControlRecord, encode
from schemas.naming import control_topic

if TYPE_CHECKING:
    from confluent_kafka import Message

    from runtime.config import Pipeline
    from schemas.control import Command


def ask(pipeline: Pipeline, command: Command, tables: tuple[str, ...] = ()) -> int:
    """Append a request to the pipeline's control topic and return its offset, once it is durable.

    Capture has obeyed it when the ``control_offset`` of its stream record is higher. Raises KafkaUnavailable.
    """
    topic = control_topic(pipeline.pipeline)
    kafka.ensure_topic(pipeline.kafka, topic, 1, pipeline.topics.replication_factor, {"retention.ms": "-1"})
    return _append(pipeline, topic, encode(ControlRecord(command, tables, _who())))


def _append(pipeline: Pipeline, topic: str, value: bytes) -> int:
    outcome: list[KafkaError | int] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        outcome.append(error if error is not None else int(message.offset() or 0))

    timeout_s = pipeline.kafka.delivery_timeout_seconds  # somebody waits for it
    producer = kafka.producer(pipeline.kafka, **{"message.timeout.ms": round(timeout_s * 1000), "linger.ms": 0})
    producer.produce(topic, value, partition=0, on_delivery=delivered)
    producer.flush(timeout_s + 5)
    if outcome and isinstance(outcome[0], int):
        return outcome[0]
    said = outcome[0].str() if outcome and isinstance(outcome[0], KafkaError) else "no answer"
    raise KafkaUnavailable(
        f"the request was not accepted: {said}", pipeline.kafka.bootstrap_servers, "check that the brokers run"
    )


def _who() -> str:
    """Return who asks, for the logs of capture."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user need not have a name
        return socket.gethostname()
