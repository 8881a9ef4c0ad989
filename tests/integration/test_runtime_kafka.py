"""The Kafka calls that everybody leans on, against a real broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runtime import kafka as clients
from runtime.config import KafkaConfig
from tests.support.daemons_pipeline import until
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.live


@pytest.fixture
def config(kafka: str) -> KafkaConfig:
    return KafkaConfig(bootstrap_servers=kafka)


@pytest.fixture
def topic(pipeline_name: str) -> str:
    return f"{pipeline_name}.t"


@pytest.fixture
def fill(config: KafkaConfig, topic: str) -> Callable[..., None]:
    """Write values; in a transaction, which leaves a marker behind them, if so asked."""

    def _fill(*values: bytes, transaction: bool = False) -> None:
        own = {"transactional.id": topic, "message.timeout.ms": 60_000} if transaction else {}
        producer = clients.producer(config, **own)
        if transaction:
            producer.init_transactions(PATIENCE_S)
            producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, b"k", partition=0)
        if transaction:
            producer.commit_transaction(PATIENCE_S)
        assert producer.flush(PATIENCE_S) == 0

    return _fill


def values(config: KafkaConfig, topic: str) -> list[bytes | None]:
    return [value for _, _, value in clients.read_all(config, topic)]


def test_an_absent_topic_reads_as_empty_and_is_not_made_by_reading(config: KafkaConfig, topic: str) -> None:
    assert clients.read_all(config, topic) == []
    assert clients.topic_ids(config, [topic]) == {}


def test_a_topic_that_was_just_made_reads_as_empty(config: KafkaConfig, topic: str) -> None:
    clients.ensure_topic(config, topic, 1, -1, {})

    assert clients.read_all(config, topic) == []


def test_everything_written_before_the_call_is_read_in_order(config: KafkaConfig, topic: str, fill) -> None:
    clients.ensure_topic(config, topic, 1, -1, {"cleanup.policy": "compact"})
    fill(*(b"%d" % i for i in range(20_000)))

    rows = clients.read_all(config, topic)

    assert [offset for offset, _, _ in rows] == list(range(20_000))
    assert rows[-1] == (19_999, b"k", b"19999")


def test_a_marker_at_the_end_of_the_log_does_not_keep_the_reader_waiting(config: KafkaConfig, topic: str, fill) -> None:
    clients.ensure_topic(config, topic, 1, -1, {})
    fill(b"a", transaction=True)

    assert values(config, topic) == [b"a"]

    fill(b"b", b"c")

    assert values(config, topic) == [b"a", b"b", b"c"]


def test_a_topic_may_be_asked_for_by_many_at_once(config: KafkaConfig, topic: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: clients.ensure_topic(config, topic, 1, -1, {}), range(4)))

    until(lambda: topic in clients.topic_ids(config, [topic]), "the topic is there")


def test_many_topics_are_made_at_once_beside_those_that_are_there(config: KafkaConfig, topic: str) -> None:
    names = [f"{topic}{number}" for number in range(5)]
    clients.ensure_topic(config, names[2], 1, -1, {})
    before = clients.topic_ids(config, names)

    clients.ensure_topics(config, names, 1, -1, {"retention.ms": "-1"})
    clients.ensure_topics(config, [], 1, -1, {})

    after = clients.topic_ids(config, names)
    assert set(after) == set(names)
    assert after[names[2]] == before[names[2]]
    assert all(clients.read_all(config, name) == [] for name in names)


def test_what_comes_after_an_offset_is_read_alone(config: KafkaConfig, topic: str, fill) -> None:
    clients.ensure_topic(config, topic, 1, -1, {})
    fill(b"a", b"b", b"c")

    assert [value for _, _, value in clients.read_all(config, topic, 1)] == [b"b", b"c"]
    assert clients.read_all(config, topic, 3) == clients.read_all(config, topic, 99) == []


def test_a_topic_made_anew_under_its_old_name_has_another_id(config: KafkaConfig, topic: str) -> None:
    admin = clients.admin(config)
    clients.ensure_topic(admin, topic, 1, -1, {})
    before = clients.topic_ids(admin, [topic])

    admin.delete_topics([topic])[topic].result(PATIENCE_S)
    clients.ensure_topic(admin, topic, 1, -1, {})

    # The broker that answers may not have heard of the change yet.
    until(
        lambda: clients.topic_ids(admin, [topic, f"{topic}.absent"]).get(topic) not in (None, before[topic]), "a new id"
    )
    assert set(clients.topic_ids(admin, [topic, f"{topic}.absent"])) == {topic}


@pytest.mark.parametrize(
    ("name", "replicas", "settings"), [("t", 99, {}), ("odd name", -1, {}), ("t", -1, {"no.such.setting": "1"})]
)
def test_a_topic_that_the_brokers_do_not_make_is_refused_with_a_fix(
    name: str, replicas: int, settings: dict[str, str], config: KafkaConfig, pipeline_name: str
) -> None:
    with pytest.raises(clients.KafkaRefused) as caught:
        clients.ensure_topic(config, f"{pipeline_name}.{name}", 1, replicas, settings)

    assert "topics:" in caught.value.fix


def test_a_login_that_the_brokers_do_not_take_is_refused_not_unreachable(kafka: str) -> None:
    login = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
    config = KafkaConfig(
        bootstrap_servers=kafka, properties=login | {"sasl.password": "canary"}, request_timeout_seconds=2
    )

    with pytest.raises(clients.KafkaRefused) as caught:
        clients.read_all(config, "t")

    assert "sasl.password" in caught.value.fix
    assert "canary" not in str(caught.value)
