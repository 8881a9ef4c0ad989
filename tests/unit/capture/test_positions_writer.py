"""A save that does not reach the brokers is told of, to whoever waits for it and to whoever only looks."""

from __future__ import annotations

import pytest

from capture.positions import PositionsWriter, SaveFailed
from operate.local.ports import HOST, free_port
from runtime.config import KafkaConfig, TopicsConfig
from schemas.positions import StreamRecord

RECORD = StreamRecord(run=1, source="s", incarnation=1, resume={"lsn": 1}, identity={}, reached={})


@pytest.fixture
def writer() -> PositionsWriter:
    """Return one whose brokers are not there, with little patience."""
    nobody = KafkaConfig(bootstrap_servers=f"{HOST}:{free_port()}", properties={"message.timeout.ms": "50"})
    return PositionsWriter(nobody, TopicsConfig(), "p")


def test_whoever_waits_for_a_save_that_fails_hears_of_it(writer: PositionsWriter) -> None:
    assert writer.is_saved()
    writer.save([], RECORD)
    with pytest.raises(SaveFailed, match="timed out"):
        writer.settle()


def test_whoever_looks_hears_of_it_too(writer: PositionsWriter) -> None:
    writer.save([], RECORD)
    with pytest.raises(SaveFailed, match="timed out"):
        look(writer)


def look(writer: PositionsWriter) -> None:
    while not writer.is_saved():
        writer._producer.poll(0.1)
