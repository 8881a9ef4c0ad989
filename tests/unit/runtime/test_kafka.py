from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime import kafka
from runtime.config import KafkaConfig
from runtime.errors import BadInput, Refused
from runtime.kafka_errors import LOGGER, Trouble, explain

NOWHERE = KafkaConfig(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=0.3)


def seen(monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, object]:
    """The settings that the next client of a class is made with."""
    found: dict[str, object] = {}
    monkeypatch.setattr(kafka, name, lambda settings, **_: found.update(settings))
    return found


def test_producers_lose_and_reorder_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = seen(monkeypatch, "Producer")
    kafka.producer(NOWHERE)

    assert settings["acks"] == "all"
    assert settings["enable.idempotence"] is True


def test_consumers_commit_nothing_and_never_jump_over_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = seen(monkeypatch, "Consumer")
    kafka.consumer(NOWHERE, "group")

    assert settings["group.id"] == "group"
    assert settings["enable.auto.commit"] is False
    assert settings["auto.offset.reset"] == "error"
    assert settings["check.crcs"] is True
    assert settings["allow.auto.create.topics"] is False


def test_properties_beat_our_defaults_and_the_code_s_own_wishes_beat_both(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = seen(monkeypatch, "Producer")
    config = KafkaConfig(
        bootstrap_servers="b:1", properties={"linger.ms": "7", "compression.type": "zstd", "bootstrap.servers": "other"}
    )
    kafka.producer(config, **{"linger.ms": 0})

    assert settings["compression.type"] == "zstd"
    assert settings["linger.ms"] == 0
    assert settings["bootstrap.servers"] == "b:1"


def test_a_setting_that_librdkafka_does_not_know_is_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        kafka.producer(KafkaConfig(bootstrap_servers="b:1", properties={"securty.protocol": "ssl"}))

    assert "securty.protocol" in caught.value.what
    assert caught.value.where == "kafka.properties"


@pytest.mark.parametrize(
    "call",
    [
        lambda: kafka.read_all(NOWHERE, "t"),
        lambda: kafka.topic_ids(NOWHERE, ["t"]),
        lambda: kafka.ensure_topic(NOWHERE, "t", 1, -1, {}),
    ],
)
def test_brokers_that_do_not_answer_are_named_with_the_reason_and_a_fix(call) -> None:
    with pytest.raises(kafka.KafkaUnavailable) as caught:
        call()

    assert not isinstance(caught.value, Refused)
    assert caught.value.where == "127.0.0.1:1"
    assert "Connection refused" in caught.value.what
    assert "bootstrap_servers" in caught.value.fix


def test_the_ids_of_no_topics_need_no_broker() -> None:
    assert kafka.topic_ids(NOWHERE, []) == {}


def error(code: int, text: str = "boom") -> KafkaError:
    return KafkaError(code, text)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._SSL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    ],
)
def test_what_only_a_person_can_change_is_refused_and_not_just_unavailable(code: int) -> None:
    found = explain(error(code), "b:1", Trouble(), "")

    assert isinstance(found, kafka.KafkaRefused)
    assert isinstance(found, Refused)
    assert found.fix


def test_a_silence_is_explained_by_the_trouble_behind_it() -> None:
    trouble = Trouble()
    trouble(error(KafkaError._AUTHENTICATION, "SASL: bad password"))
    trouble(error(KafkaError._ALL_BROKERS_DOWN))

    assert explain(error(KafkaError._TIMED_OUT), "b:1", trouble, "").what == "SASL: bad password"
    assert explain(error(KafkaError.INVALID_CONFIG, "bad"), "b:1", trouble, "").what == "bad"


@pytest.mark.parametrize("code", [KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN])
def test_what_a_consumer_gets_over_by_itself_is_not_raised(code: int) -> None:
    kafka.check(error(code), NOWHERE)


@pytest.mark.parametrize("code", [KafkaError._AUTO_OFFSET_RESET, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_what_a_consumer_does_not_get_over_is_raised(code: int) -> None:
    with pytest.raises(kafka.KafkaUnavailable):
        kafka.check(error(code), NOWHERE)


def test_an_exception_of_the_client_becomes_ours() -> None:
    assert kafka.unavailable(KafkaException(error(KafkaError._TIMED_OUT, "late")), NOWHERE).what == "late"


def test_librdkafka_s_repeated_complaints_are_logged_once_and_as_warnings(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        LOGGER.error(
            "FAIL [ferryman#producer-%s]: test: Connection refused (after %sms in state CONNECT)", number, number
        )

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
