"""Whoever publishes learns of every message that did not arrive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from capture.publisher import DeliveryFailed, Publisher
from operate.local.ports import HOST, free_port
from runtime.config import KafkaConfig
from schemas.block import Op, Transaction
from schemas.columnar.block import AnyBlock
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.blocks import BlockBuilder

TABLE = TableSchema("s", "t", (Column("k", ValueType(Kind.STRING), key_position=1),))


def publisher() -> Publisher:
    """Return one whose brokers are not there, with little patience."""
    nobody = KafkaConfig(bootstrap_servers=f"{HOST}:{free_port()}", properties={"message.timeout.ms": "50"})
    pipeline: Any = SimpleNamespace(
        pipeline="p", kafka=nobody, topics=SimpleNamespace(max_message_bytes=1_000_000, create=False)
    )
    source: Any = SimpleNamespace(converter=lambda _: bytes.decode, kernel=lambda _: None)
    schemas: Any = SimpleNamespace(register=lambda *_: b"\0\0\0\0\1")
    return Publisher(pipeline, source, schemas, lambda: None)


def publish(publishing: Publisher, block: AnyBlock) -> None:
    """Publish and wait; the brokers may be given up in either."""
    publishing.publish("t", block)
    publishing.flush()


def look(publishing: Publisher, block: AnyBlock) -> None:
    """Publish and look until all is acknowledged."""
    assert publishing.delivered()
    publishing.publish("t", block)
    while not publishing.delivered():
        publishing._producer.poll(0.1)


@pytest.mark.parametrize("act", [publish, look])
def test_a_message_that_could_not_be_delivered_in_time_is_told_of(act: Callable[[Publisher, AnyBlock], None]) -> None:
    rows = BlockBuilder()
    rows.begin(Transaction(1, 0, "1"))
    rows.row(TABLE, Op.CREATE, None, (b"a",))
    rows.commit()
    (block,) = rows.take()
    with closing(publisher()) as publishing, pytest.raises(DeliveryFailed, match="timed out"):
        act(publishing, block)
