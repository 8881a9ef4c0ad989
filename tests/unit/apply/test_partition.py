from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apply.partition import Batch, Partition
from apply.waiting import split
from schemas.block import Op, Origin
from schemas.columnar.received import AnyReceived, ReceivedColumns
from schemas.order import OrderKey
from schemas.received import Received
from tests.unit.apply.histories import table

TABLE = table()


class Form:
    """In which form events come: row by row, by column, or now this and now that."""

    now = "rows"


@pytest.fixture(autouse=True, scope="module", params=["rows", "columns", "mixed"])
def form(request) -> None:
    Form.now = request.param


@dataclass(frozen=True)
class Message:
    order: int
    last: bool
    opening: bool = False


def order(n: int) -> bytes:
    return OrderKey(0, n, 0, 0).pack()


def block(messages: list[Message], offset: int) -> AnyReceived:
    out = Received(TABLE)
    for i, message in enumerate(messages):
        out.ops.append(Op.TRUNCATE if message.opening else Op.CREATE)
        out.before.append(None)
        out.after.append(None if message.opening else (b"%d" % message.order, None, None))
        out.orders.append(order(message.order))
        out.last.append(message.last)
        out.key_change.append(False)
        out.origins.append(Origin.OPENING if message.opening else Origin.LOG)
        out.committed_us.append(0)
        out.offsets.append(offset + i)
    by_column = Form.now == "columns" or (Form.now == "mixed" and offset % 2)
    return ReceivedColumns.of(out) if by_column else out


def by_row(received: AnyReceived) -> Received:
    return received.to_received() if isinstance(received, ReceivedColumns) else received


def orders(batch: Batch) -> list[bytes]:
    return [key for received in batch.received for key in by_row(received).orders]


@st.composite
def topics(draw) -> list[Message]:
    """A topic as capture leaves it: transactions in order, with stretches of the newest events published again."""
    sent: list[Message] = []
    topic: list[Message] = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 5))
        sent += [Message(len(sent) + i + 1, last=i == size - 1) for i in range(size)]
        topic += sent[len(sent) - size : len(sent) - draw(st.integers(0, size))]
        back = draw(st.integers(0, len(sent)))
        # A capture that starts again publishes from a transaction's start, at the latest where it had stopped.
        starts = [i for i in range(len(sent)) if i == 0 or sent[i - 1].last]
        begin = max(i for i in starts if i <= min(back, len(sent) - size))
        topic += sent[begin:]
    return topic


def polls(data: st.DataObject, topic: list[Message], start: int) -> list[tuple[int, list[Message]]]:
    out = []
    while start < len(topic):
        size = data.draw(st.integers(1, len(topic) - start))
        out.append((start, topic[start : start + size]))
        start += size
    return out


@settings(max_examples=150)
@given(topics(), st.integers(1, 8), st.data())
def test_every_event_is_handed_out_once_and_commits_end_at_end_marks(
    topic: list[Message], limit: int, data: st.DataObject
) -> None:
    by_order = {order(m.order): m for m in topic}
    applied: list[bytes] = []
    pending: list[bytes] = []
    checkpoint: tuple[int, bytes | None] = (0, None)
    for _ in range(2):  # the second time: apply starts again at its checkpoint
        partition = Partition(*checkpoint)
        pending = []
        for offset, messages in polls(data, topic, checkpoint[0]):
            partition.add(block(messages, offset), 10)
            partition.reach(offset + len(messages))
            while (batch := partition.take(limit)) is not None:
                pending += orders(batch)
                if batch.complete:
                    assert not pending or by_order[pending[-1]].last
                    applied += pending
                    pending = []
                    checkpoint = (batch.next_offset, batch.order_key)
                    partition.saved = batch.next_offset
            if data.draw(st.integers(0, 9)) == 0:
                break

    assert applied == sorted(set(applied))
    if checkpoint[0] == len(topic):
        assert applied == sorted({order(m.order) for m in topic})


def filled(*messages: Message, loaded: int | None = None, awaiting: bool = False) -> Partition:
    partition = Partition(0, None, awaiting=awaiting)
    partition.note_loaded(None if loaded is None else order(loaded))
    partition.add(block(list(messages), 0), 10 * len(messages))
    partition.reach(len(messages))
    return partition


def test_an_unfinished_transaction_waits() -> None:
    partition = filled(Message(1, last=True), Message(2, last=False))

    batch = partition.take(100)

    assert (len(batch), batch.complete, batch.next_offset) == (1, True, 1)
    assert partition.take(100) is None


def test_more_than_the_limit_without_an_end_mark_is_a_part_that_does_not_end_the_transaction() -> None:
    partition = filled(*(Message(i, last=False) for i in range(1, 6)))

    batch = partition.take(4)

    assert (len(batch), batch.complete) == (5, False)
    partition.reach(9)  # tombstones
    assert partition.take(4) is None


def test_a_unit_larger_than_the_limit_stays_whole_when_its_end_is_there() -> None:
    partition = filled(*(Message(i, last=i == 5) for i in range(1, 6)), Message(6, last=True))

    assert [len(partition.take(2)), len(partition.take(2))] == [5, 1]


def test_a_batch_that_was_put_back_comes_out_again_first() -> None:
    partition = filled(*(Message(i, last=True) for i in range(1, 4)))
    batch = partition.take(2)
    size = partition.bytes

    partition.put_back(batch)

    assert partition.bytes == size + batch.size == 30
    assert orders(partition.take(1)) == [order(1)]
    assert orders(partition.take(100)) == [order(2), order(3)]


def test_events_that_complete_a_snapshot_do_not_share_a_batch_with_later_ones() -> None:
    partition = filled(*(Message(i, last=True) for i in range(1, 5)), loaded=2)

    first, second = partition.take(100), partition.take(100)

    assert [(len(b), b.loading) for b in (first, second)] == [(2, True), (2, False)]
    assert not partition.is_loading(order(2))
    assert partition.is_loading(order(1))


def test_a_new_opening_makes_an_older_word_of_completeness_void() -> None:
    partition = filled(Message(1, last=True), loaded=1)

    partition.add(block([Message(5, last=True, opening=True)], 1), 10)

    assert partition.loaded is None
    partition.note_loaded(order(1))
    assert partition.loaded is None
    partition.note_loaded(order(5))
    assert partition.loaded == order(5)


def test_where_history_is_missing_nothing_is_applied_until_a_snapshot_opens() -> None:
    partition = filled(Message(1, last=True), Message(2, last=True), awaiting=True)
    assert partition.take(100) is None

    partition.add(block([Message(3, last=True), Message(4, last=True, opening=True), Message(5, last=True)], 2), 10)

    assert orders(partition.take(100)) == [order(4), order(5)]


def test_tombstones_and_replayed_events_alone_move_the_checkpoint() -> None:
    partition = Partition(7, order(3))
    partition.add(block([Message(2, last=False), Message(3, last=True)], 7), 10)
    partition.reach(9)

    batch = partition.take(100)

    assert (len(batch), batch.next_offset, batch.order_key, batch.complete) == (0, 9, order(3), True)


@given(st.lists(st.integers(0, 4), max_size=5), st.data())
def test_split_keeps_order(sizes: list[int], data: st.DataObject) -> None:
    n = iter(range(1, 100))
    blocks = [block([Message(next(n), last=True) for _ in range(size)], 0) for size in sizes]
    whole = [key for one in blocks for key in by_row(one).orders]
    count = data.draw(st.integers(0, len(whole)))

    first, rest = split(blocks, count)

    assert [k for b in first for k in by_row(b).orders] == whole[:count]
    assert [k for b in rest for k in by_row(b).orders] == whole[count:]
