from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from apply.checkpoint import Checkpoint, Place
from apply.events import EventReader
from apply.messages import Messages
from apply.partition import Partition
from apply.work import Work
from schemas.block import UNSENT, Block, Op, Origin, Transaction
from schemas.codec import BlockEncoder
from schemas.errors import ContractError
from schemas.fingerprint import crc64, schema_text
from schemas.framing import Fingerprint, single_object
from schemas.order import OrderKey
from schemas.table import TableSchema
from tests.unit.apply.histories import table

if TYPE_CHECKING:
    from schemas.framing import FrameId


class Topic:
    """Messages of one table, and the schemas that they name."""

    def __init__(self) -> None:
        self.schemas: dict[FrameId, dict[str, Any]] = {}
        self.values: list[bytes | None] = []

    def register(self, _subject: str, schema: dict[str, Any]) -> bytes:
        number = crc64(schema_text(schema).encode())
        self.schemas[Fingerprint(number)] = schema
        return single_object(number)

    def schema(self, frame: FrameId) -> dict[str, Any]:
        if frame not in self.schemas:
            raise ContractError("nobody knows this schema")
        return self.schemas[frame]

    def publish(self, made: TableSchema, position: int, *changes: tuple, origin: Origin = Origin.LOG) -> None:
        encoder = BlockEncoder(made, "p.public.t", "p", [int, bytes.decode, bytes.decode], self.register)
        block = Block(made, [Transaction(position, 5_000_000, "9")], origin=origin)
        for i, (op, before, after) in enumerate(changes):
            block.ops.append(op)
            block.tx.append(0)
            block.ordinals.append(2 * i)
            block.before.append(before)
            block.after.append(after)
            block.last.append(i == len(changes) - 1)
            block.key_change.append(bool(before and after and before[0] != after[0]))
        for message in encoder.encode(block):
            self.add(message.value)

    def add(self, value: bytes | None) -> None:
        self.values.append(value)

    @property
    def messages(self) -> Messages:
        return Messages(list(range(len(self.values))), list(self.values), 0)


def insert(key: int) -> tuple:
    return (Op.CREATE, None, (b"%d" % key, b"tab\there".replace(b"\t", b" "), None))


def test_events_come_in_offset_order_without_tombstones() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1), (Op.DELETE, (b"1", UNSENT, UNSENT), None))
    topic.publish(table(), 2, (Op.UPDATE, (b"2", UNSENT, UNSENT), (b"3", b"s", UNSENT)))

    ((events, size),) = EventReader(topic.schema).read(topic.messages).events

    assert [op.value for op in events.ops] == ["c", "d", "d", "c"]
    assert events.offsets == [0, 1, 3, 5]
    assert events.key_change == [False, False, True, True]
    assert events.last == [False, True, False, True]
    assert events.after[3] == (b"3", b"s", UNSENT)
    assert size > 4 * sum(len(value or b"") for value in topic.values) - 1


def test_each_message_is_read_by_the_schema_that_it_names() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1))
    topic.publish(replace(table(), comment="later"), 2, insert(2), insert(3))
    topic.publish(table(), 3, insert(4))

    events = EventReader(topic.schema).read(topic.messages).events

    assert [(e.table.comment, len(e)) for e, _ in events] == [(None, 1), ("later", 2), (None, 1)]


def test_reading_stops_before_the_first_message_that_cannot_be_read() -> None:
    reader_sees = []
    for bad in (b"", b"junk", b"\xc3\x01" + bytes(8), "cut short"):
        topic = Topic()
        topic.publish(table(), 1, insert(1), insert(2))
        topic.add(topic.values[0][:-3] if bad == "cut short" else bad)
        topic.publish(table(), 2, insert(3))

        decoded = EventReader(topic.schema).read(topic.messages)

        reader_sees.append(decoded.poison.offset)
        assert sum(len(events) for events, _ in decoded.events) == 2
    assert reader_sees == [2] * 4


def working(topic: Topic, *, blocked: bool = False) -> tuple[Work, EventReader]:
    work = Work(Place("p", "p.public.t", 0), "public.t", 100)
    work.checkpoint = Checkpoint(0, None, "id", None, 1)
    work.partition = Partition(0, None)
    if blocked:
        work.block("blocked", 10.0)
    return work, EventReader(topic.schema)


def take_in(work: Work, reader: EventReader, messages: Messages) -> None:
    messages = work.fresh(messages)
    while messages:
        messages = work.take_in(messages, reader.read(messages))


def test_an_unreadable_message_holds_up_what_follows_it() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1))
    topic.add(b"junk")
    topic.publish(table(), 2, insert(2))
    work, reader = working(topic)

    take_in(work, reader, topic.messages)

    assert work.poison.offset == 1
    assert (len(work.partition.take(10)), work.partition.position) == (1, 1)


def test_a_blocked_table_looks_ahead_for_a_snapshot_past_everything_unreadable() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1))
    topic.add(b"junk")
    topic.publish(table(), 2, insert(2))
    work, reader = working(topic, blocked=True)

    take_in(work, reader, topic.messages)
    assert work.blocked
    assert (len(work.partition), len(work.scout), work.waiting.position) == (0, 0, 3)

    topic.publish(table(), 3, (Op.TRUNCATE, None, None), origin=Origin.OPENING)
    topic.publish(table(), 4, insert(4))
    take_in(work, reader, topic.messages.since(3))
    assert not work.blocked
    batch = work.partition.take(10)
    assert (len(batch), batch.next_offset) == (2, 5)


def test_a_word_of_completeness_that_came_before_the_table_was_blocked_still_holds() -> None:
    topic = Topic()
    topic.add(b"junk")
    topic.publish(table(), 3, (Op.TRUNCATE, None, None), origin=Origin.OPENING)
    topic.publish(table(), 4, insert(4))
    work, reader = working(topic)
    loaded = OrderKey(0, 4, 0, 0).pack()
    work.note_loaded(loaded)
    work.block("blocked", 10.0)

    take_in(work, reader, topic.messages)

    assert not work.blocked
    assert work.partition.loaded == loaded


def test_messages_of_an_earlier_fetch_are_ignored() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1), insert(2))
    work, reader = working(topic)
    take_in(work, reader, topic.messages)

    take_in(work, reader, topic.messages)

    assert len(work.partition) == 2


def test_an_event_of_another_table_cannot_be_read_in_this_ones_topic() -> None:
    topic = Topic()
    topic.publish(table(), 1, insert(1))
    topic.publish(replace(table(), name="u"), 2, insert(2), origin=Origin.OPENING)
    topic.publish(table(), 3, insert(3))

    work, reader = working(topic)
    take_in(work, reader, topic.messages)

    assert (len(work.partition), work.partition.position) == (1, 1)
    assert (work.poison.offset, work.poison.reason) == (1, "an event of table public.u in the topic of public.t")
