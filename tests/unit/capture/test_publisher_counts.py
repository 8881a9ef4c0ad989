"""What a publisher counts for the saved position: all rows, and those that did not go by column."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from capture import publisher as module
from capture.publisher import Publisher
from schemas.block import Block, Op, Transaction
from schemas.codec_encode import Message
from schemas.columnar.messages import FewMessages
from tests.unit.apply.histories import table


class Encoder:
    """Writes every block of less than 300 rows one by one."""

    reference_rows = 0

    def encode(self, block: Block) -> FewMessages:
        if len(block) < 300:
            self.reference_rows += len(block)
        return FewMessages([Message(b"k", b"v", []) for _ in range(len(block))])


class Producer:
    """Takes everything."""

    taken = 0

    def produce(self, *_message, **_headers) -> None:
        self.taken += 1

    def poll(self, _timeout_s) -> int:
        return 0


def block(rows: int) -> Block:
    made = Block(table(), [Transaction(1, 1, "1")])
    made.ops = [Op.CREATE] * rows
    return made


def test_rows_are_counted_and_those_that_went_one_by_one_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, encoder = Producer(), Encoder()
    monkeypatch.setattr(module.kafka, "producer", lambda *_config, **_settings: producer)
    topics = SimpleNamespace(max_message_bytes=10_000)
    publisher = Publisher(SimpleNamespace(kafka=None, topics=topics), None, None, lambda: None)
    monkeypatch.setattr(publisher, "_new_encoder", lambda _table, _topic: encoder)

    for rows in (7, 400, 5):
        publisher.publish("topic", block(rows))

    assert (publisher.rows, publisher.reference_rows) == (412, 12)
    assert producer.taken == 412
