"""What the group is told of offsets that are applied."""

from __future__ import annotations

import pytest

from apply import consumer as module
from apply.consumer import PartitionId, TopicConsumer
from apply.membership import Group
from runtime import kafka
from runtime.config import ApplyConfig, KafkaConfig
from tests.support.clock import Clock

A, B = PartitionId("a", 0), PartitionId("b", 0)


class Client:
    """The client of a member to which both partitions were given."""

    def __init__(self) -> None:
        self.commits: list[dict[str, int]] = []
        self.closed = False

    def subscribe(self, _topics, on_assign, on_revoke, **_others) -> None:
        self.take_away = lambda place: on_revoke(self, [module.TopicPartition(*place)])
        on_assign(self, [module.TopicPartition(*place) for place in (A, B)])

    def incremental_assign(self, places) -> None:
        pass

    def incremental_unassign(self, places) -> None:
        pass

    def poll(self, _wait_s) -> None:
        return None

    def commit(self, offsets, asynchronous) -> None:
        assert asynchronous
        assert not self.closed
        self.commits.append({place.topic: place.offset for place in offsets})

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    found = Clock(100.0)
    monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture
def client(monkeypatch) -> Client:
    made = Client()
    monkeypatch.setattr(module.kafka, "consumer", lambda *_arguments, **_settings: made)
    return made


@pytest.fixture
def consumer(client: Client, clock) -> TopicConsumer:
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1")
    made = TopicConsumer(
        config, Group(kafka.admin(config), "p"), None, ApplyConfig(), 100, lambda _given: None, lambda _taken: None
    )
    made.subscribe(["a", "b"])
    made.poll(0.0)
    return made


def test_offsets_are_told_once_a_second_the_newest_of_each_partition(consumer, client, clock):
    consumer.note({A: 5})
    consumer.note({A: 6})
    consumer.note({B: 2})
    clock.now += 0.9
    consumer.note({A: 7})
    assert client.commits == [{"a": 5}]
    clock.now += 0.2
    consumer.note({})
    assert client.commits == [{"a": 5}, {"a": 7, "b": 2}]
    clock.now += 2
    consumer.note({})
    assert client.commits == [{"a": 5}, {"a": 7, "b": 2}]


def test_what_was_not_told_yet_is_told_at_the_end(consumer, client):
    consumer.note({A: 5})
    consumer.note({A: 9})
    consumer.close()
    assert client.commits == [{"a": 5}, {"a": 9}]
    assert client.closed


def test_a_partition_that_was_taken_away_is_not_told(consumer, client, clock):
    consumer.note({A: 5})
    consumer.note({A: 6, B: 3})
    client.take_away(B)
    clock.now += 2
    consumer.note({})
    assert client.commits == [{"a": 5}, {"a": 6}]
