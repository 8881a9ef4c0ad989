"""``ferryman apply``: wiring. Any number of replicas share the tables of a pipeline."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaException

from apply import control
from apply.consumer import TopicConsumer
from apply.events import EventReader
from apply.loop import Loop, Parts
from apply.membership import Group
from apply.ownership import Ownership
from apply.session import Session
from apply.target import connector
from runtime import garbage, http, kafka, policy, row_path
from runtime.positions import Tail
from runtime.schema_store import SchemaReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.config import Pipeline
    from runtime.signals import Stop

_log = structlog.get_logger()

#: A batch makes a million small objects and drops them all at once: looking for cycles among them costs a third of the
#: time of planning and finds none.
_GC_THRESHOLDS: Final = (200_000, 20, 50)
#: Messages that one poll brings at most, and in percent of a batch: with what is left over, one poll makes one batch.
#: So many keep the target busy while the next ones are decoded; more would only take memory.
_AT_ONCE, _SHARE_AT_ONCE = 25_000, 80


def run(pipeline: Pipeline, instance: str | None, http_address: str, stop: Stop) -> int:
    """Apply until ``stop`` is requested; return the exit code.

    Raises FerrymanError when the target or the brokers refuse us for good.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    garbage.settle()
    health = http.Health("apply", pipeline.retry.stuck_seconds)
    address = http.serve(http_address, health)
    _log.info("apply.started", pipeline=pipeline.pipeline, instance=instance, http=address)
    connect = connector(pipeline)
    session = Session(connect)
    policy.retry(lambda: control.create(session), stop, pipeline.retry, meanwhile=health.retrying)
    session.close()
    with contextlib.ExitStack() as resources:
        loop = _wire(pipeline, instance, lambda: Session(connect), resources)
        while not stop.requested:
            loop.turn(pipeline.apply.batch_wait_ms / 1000)
            (health.retrying if loop.waiting else health.beat)()
    _log.info("apply.stopped", pipeline=pipeline.pipeline)
    return 0


def _wire(
    pipeline: Pipeline, instance: str | None, open_session: Callable[[], Session], resources: contextlib.ExitStack
) -> Loop:
    """Put the parts together; ``resources`` closes them in the opposite order."""
    name, settings, brokers = pipeline.pipeline, pipeline.apply, pipeline.kafka
    admin = kafka.admin(brokers)
    owner = f"{instance or socket.gethostname()}/{os.getpid()}"
    ownership = Ownership(name, owner, settings, pipeline.retry, lambda topics: kafka.topic_ids(admin, topics))
    tail = Tail(brokers, name)
    resources.callback(tail.close)
    at_once = max(1, min(_AT_ONCE, settings.batch_rows * _SHARE_AT_ONCE // 100))
    consumer = TopicConsumer(
        brokers, Group(admin, name), instance, settings, at_once, ownership.assigned, ownership.revoked
    )
    resources.callback(consumer.close)

    def follow() -> None:
        try:
            if tail.poll():
                consumer.subscribe(ownership.learn(tail.positions))
        except KafkaException as error:
            raise kafka.unavailable(error, brokers) from None

    reader = EventReader(SchemaReader(brokers, name).get, row_path.fewest_rows())
    parts = Parts(consumer, ownership, reader, follow, open_session, settings.evolution, pipeline.retry, pipeline.types)
    loop = Loop(parts)
    resources.callback(loop.close)
    return loop
