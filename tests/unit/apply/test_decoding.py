from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apply import decoding
from apply.decoding import Decoding
from apply.events import EventReader
from apply.work import Work
from runtime.errors import Unreachable
from tests.unit.apply.histories import table
from tests.unit.apply.test_events import Topic, insert, working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def topic() -> Topic:
    topic = Topic()
    topic.publish(table(), 1, *(insert(key) for key in range(300)))
    return topic


@pytest.fixture
def beside(topic: Topic) -> Iterator[Decoding]:
    made = Decoding(EventReader(topic.schema))
    yield made
    made.close()


def test_few_messages_are_decoded_by_the_time_they_are_asked_for(topic: Topic, beside: Decoding) -> None:
    work, _ = working(topic)

    reading = beside.begin(work, topic.messages)

    assert reading.decoded.done()
    assert work.take_in(topic.messages, reading.decoded.result()).offsets == []
    assert (len(work.partition), work.partition.position) == (300, 300)


def test_many_messages_give_the_same_events(topic: Topic, beside: Decoding, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = working(topic)[0], working(topic)[0]
    few.take_in(topic.messages, beside.begin(few, topic.messages).decoded.result())
    monkeypatch.setattr(decoding, "FEW", 1)

    many.take_in(topic.messages, beside.begin(many, topic.messages).decoded.result())

    ((one,), (other,)) = (work.partition.take(1_000).received for work in (few, many))
    assert one.to_received() == other.to_received()


@pytest.mark.parametrize("happens", [Work.rewind, lambda work: work.block("blocked", 10.0)], ids=["rewound", "blocked"])
def test_what_was_read_is_not_wanted_by_a_partition_that_begins_anew(
    topic: Topic, beside: Decoding, happens: Callable[[Work], None]
) -> None:
    work, _ = working(topic)
    work.started = True
    reading = beside.begin(work, topic.messages)
    assert reading.is_wanted

    happens(work)
    assert not reading.is_wanted
    work.started = True

    assert not reading.is_wanted


def test_trouble_with_a_schema_is_told_where_the_events_are_asked_for(topic: Topic) -> None:
    def unreachable(_frame: object) -> dict:
        raise Unreachable("no answer", "registry")

    beside = Decoding(EventReader(unreachable))

    reading = beside.begin(working(topic)[0], topic.messages)

    with pytest.raises(Unreachable):
        reading.decoded.result()
    beside.close()
