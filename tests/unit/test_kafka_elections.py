"""Questions that a partition's leader answers, while the brokers elect it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime import kafka
from runtime.kafka_errors import ELECTING

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition


class Reader:
    """A consumer whose broker answers with these errors first, and with (3, 7) from then on."""

    def __init__(self, *errors: int) -> None:
        self.errors, self.asked = list(errors), 0

    def get_watermark_offsets(self, _place: TopicPartition, **_: Any) -> tuple[int, int]:
        self.asked += 1
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))
        return 3, 7


def watermarks(reader: Reader, timeout_s: float) -> tuple[int, int]:
    return kafka.watermarks(cast("Consumer", reader), "t", 0, timeout_s)


@pytest.mark.parametrize("error", ELECTING)
def test_a_broker_that_leads_not_yet_or_no_longer_is_asked_again(error: int) -> None:
    reader = Reader(error, error)

    assert watermarks(reader, 60) == (3, 7)
    assert reader.asked == 3


def test_an_election_that_does_not_end_in_time_is_the_error() -> None:
    reader = Reader(*[KafkaError.LEADER_NOT_AVAILABLE] * 1_000)

    with pytest.raises(KafkaException) as caught:
        watermarks(reader, 0)

    assert caught.value.args[0].code() == KafkaError.LEADER_NOT_AVAILABLE


def test_any_other_error_is_told_at_once() -> None:
    reader = Reader(KafkaError.TOPIC_AUTHORIZATION_FAILED)

    with pytest.raises(KafkaException):
        watermarks(reader, 60)

    assert reader.asked == 1


def test_who_leads_is_looked_up_before_each_further_try_even_if_that_fails() -> None:
    reader, looks = Reader(KafkaError.FENCED_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH), []

    def look() -> None:
        looks.append(reader.asked)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    assert kafka.once_led(lambda: watermarks(reader, 0), 60, look) == (3, 7)
    assert looks == [1, 2]
