"""The group hands out every topic that is wanted, on a real broker, whatever changed while a replica was away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from apply.consumer import PartitionId, TopicConsumer
from apply.membership import Group
from runtime import kafka as clients
from runtime.config import ApplyConfig, KafkaConfig
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.live


class Member:
    """A replica that reads all that the group gives it."""

    def __init__(self, kafka: str, pipeline: str) -> None:
        self.mine: set[PartitionId] = set()
        settings = ApplyConfig(session_timeout_ms=6_000, look_seconds=1)
        config = KafkaConfig(bootstrap_servers=kafka)
        group = Group(clients.admin(config), pipeline)
        self.consumer = TopicConsumer(config, group, "one", settings, 10, self.mine.update, self.mine.difference_update)

    def gets(self, *topics: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while {partition.topic for partition in self.mine} != set(topics):
            assert time.monotonic() < deadline, self.mine
            self.consumer.poll(0.02)
            self.consumer.start([(partition, 0, None) for partition in self.mine - self.consumer._reading])


@contextmanager
def member(kafka: str, pipeline: str) -> Iterator[Member]:
    made = Member(kafka, pipeline)
    with closing(made.consumer):
        yield made


@pytest.fixture
def topics(kafka: str, pipeline_name: str) -> list[str]:
    names = [f"{pipeline_name}.{letter}" for letter in "abc"]
    for name in names:
        clients.ensure_topic(KafkaConfig(bootstrap_servers=kafka), name, 1, -1, {})
    return names


def comes_and_gets(kafka: str, pipeline: str, wanted: list[str]) -> None:
    """The named member begins, reads these topics, and is away again."""
    with member(kafka, pipeline) as found:
        found.consumer.subscribe(wanted)
        found.gets(*wanted)


def test_a_topic_that_came_while_a_named_member_was_away_is_handed_out(
    kafka: str, pipeline_name: str, topics: list[str]
) -> None:
    a, b, c = topics
    for wanted in ([a], [a, b, c]):
        comes_and_gets(kafka, pipeline_name, wanted)


def test_a_named_member_comes_back_to_other_topics_than_it_had(
    kafka: str, pipeline_name: str, topics: list[str]
) -> None:
    a, b, _ = topics
    for wanted in ([a], [b]):
        comes_and_gets(kafka, pipeline_name, wanted)


def test_topics_that_come_when_others_go_are_handed_out_after_a_restart(
    kafka: str, pipeline_name: str, topics: list[str]
) -> None:
    a, b, c = topics
    comes_and_gets(kafka, pipeline_name, [a, b])
    with member(kafka, pipeline_name) as again:
        again.consumer.subscribe([a, b])
        again.gets(a, b)
        again.consumer.subscribe([b, c])
        again.gets(b, c)
