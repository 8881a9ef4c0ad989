"""``ferryman events``: whatever a topic holds is shown, and what is not a value is marked as such."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.commands.events import line
from operate.events import UNSENT, Describer, Stored, readable
from schemas.block import UNSENT as NOT_SENT
from schemas.block import Block, Op, Transaction
from schemas.codec import BlockEncoder, Verbatim
from schemas.errors import ContractError
from schemas.fingerprint import fingerprint
from schemas.framing import VALUE_HEADER, read_frame, single_object
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.strategies import blocks, freeze, tables, thaw

ITEMS = TableSchema(
    "public",
    "items",
    (
        Column("the id", ValueType(Kind.DECIMAL, 5, 0), key_position=1, identity=True),
        Column("price", ValueType(Kind.DECIMAL, 10, 2)),
        Column("note", ValueType(Kind.STRING)),
    ),
    database="shop",
)


class Topic:
    """The messages of blocks, and the schemas that they name."""

    def __init__(self) -> None:
        self.schemas = {}
        self.messages: list[Stored] = []

    def add(self, block: Block) -> Topic:
        encoder = BlockEncoder(
            block.table, "shop.public.items", "shop", [thaw] * len(block.table.columns), self.register, lambda: 5
        )
        for message in encoder.encode(block):
            self.messages.append(
                Stored(0, len(self.messages), 1_700_000_000_123, message.key, message.value, message.headers)
            )
        return self

    def register(self, _subject, schema):
        frame = single_object(fingerprint(schema))
        self.schemas[read_frame(frame)[0]] = schema
        return frame

    def schema(self, frame):
        if frame not in self.schemas:
            raise ContractError("an unknown schema")
        return self.schemas[frame]

    def lines(self):
        describer = Describer(self.schema)
        return [line(describer.describe(message)) for message in self.messages]

    def shown(self):
        return [json.loads(text) for text in self.lines()]


def block_of(op, before, after):
    images = [
        None if row is None else tuple(v if v is None or v is NOT_SENT else freeze(v) for v in row)
        for row in (before, after)
    ]
    return Block(
        ITEMS,
        [Transaction(17, 1_700_000_000_000_000, "731")],
        ops=[op],
        tx=[0],
        ordinals=[2],
        before=images[:1],
        after=images[1:],
        last=[True],
        key_change=[False],
    )


def test_an_event_is_shown_with_its_values_by_the_sources_names():
    (shown,) = Topic().add(block_of(Op.CREATE, None, (b"\x05", b"\x00\x96", "x"))).shown()
    assert shown["after"] == {"the id": "5", "price": "1.50", "note": "x"}
    assert shown["before"] is None
    assert shown["key"] == {"the id": "5"}
    assert (shown["op"], shown["last"], shown["partition"], shown["offset"]) == ("c", True, 0, 0)
    assert shown["order"] == {"incarnation": 0, "position": 17, "run": 0, "ordinal": 2}
    assert shown["time"] == "2023-11-14T22:13:20.123+00:00"
    assert shown["source"]["txId"] == 731


def test_what_was_not_sent_and_what_no_type_holds_are_marked():
    (shown,) = Topic().add(block_of(Op.UPDATE, None, (b"\x05", Verbatim("NaN"), NOT_SENT))).shown()
    assert shown["after"] == {"the id": "5", "price": {"verbatim": "NaN"}, "note": UNSENT}


def test_a_tombstone_is_shown_as_one_with_its_key():
    delete, tombstone = Topic().add(block_of(Op.DELETE, (Verbatim("NaN"), NOT_SENT, None), None)).shown()
    assert delete["before"] == {"the id": {"verbatim": "NaN"}, "price": UNSENT, "note": None}
    assert (tombstone["op"], tombstone["key"]) == ("tombstone", {"the id": "NaN"})


@given(st.data())
def test_every_event_can_be_shown(data):
    topic = Topic().add(data.draw(tables().flatmap(blocks)))
    assert all(shown["op"] in {"r", "c", "u", "d", "t", "tombstone"} for shown in topic.shown())


@given(st.binary(max_size=40), st.data())
def test_a_message_that_is_no_event_is_shown_as_unreadable(value, data):
    topic = Topic().add(block_of(Op.CREATE, None, (b"\x05", None, None)))
    good = topic.messages[0]
    value = data.draw(st.just(value) | st.just((good.value or b"")[:10] + value))
    shown = Describer(topic.schema).describe(good._replace(value=value))
    assert shown["op"] == "unreadable"
    assert shown["offset"] == 0


def test_a_frame_in_a_header_names_the_schema():
    topic = Topic().add(block_of(Op.CREATE, None, (b"\x05", None, None)))
    good = topic.messages[0]
    moved = good._replace(value=good.value[10:], headers=[(VALUE_HEADER, good.value[:10])])
    assert Describer(topic.schema).describe(moved)["op"] == "c"


def test_no_control_character_reaches_the_terminal():
    (shown,) = Topic().add(block_of(Op.CREATE, None, (b"\x05", None, "\x1b[2J\x9b2J\u2028"))).lines()
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or character == "\u2028" for character in shown)


@pytest.mark.parametrize(
    ("value_type", "value", "text"),
    [
        (ValueType(Kind.DECIMAL, 5, 3), b"\xff", "-0.001"),
        (ValueType(Kind.DECIMAL, 5, 0), b"\x00", "0"),
        (ValueType(Kind.VARIABLE_DECIMAL), {"scale": 2, "value": b"\x00\x96"}, "1.50"),
        (ValueType(Kind.VARIABLE_DECIMAL), {"scale": -2, "value": b"\x05"}, "500"),
        (ValueType(Kind.VARIABLE_DECIMAL), {"scale": 2**31 - 1, "value": b"\x05"}, "\\x05 / 10^2147483647"),
        (ValueType(Kind.DECIMAL, 5000, 0), b"\x01" * 2000, f"\\x{'01' * 2000} / 10^0"),
        (ValueType(Kind.DATE), -1, "1969-12-31"),
        (ValueType(Kind.DATE), 2**31 - 1, "2147483647 days after 1970-01-01"),
        (ValueType(Kind.MICRO_TIME), 1, "00:00:00.000001"),
        (ValueType(Kind.MICRO_TIMESTAMP), 1_700_000_000_000_001, "2023-11-14T22:13:20.000001"),
        (ValueType(Kind.MICRO_TIMESTAMP), 2**63 - 1, "9223372036854775807 us after 1970-01-01T00:00:00"),
        (ValueType(Kind.BITS, length=10), b"\x05\x02", "1000000101"),
        (ValueType(Kind.BYTES), b"\x00\xff", "\\x00ff"),
        (ValueType(Kind.FLOAT64), float("-inf"), "-Infinity"),
        (ValueType(Kind.FLOAT64), float("nan"), "NaN"),
        (ValueType(Kind.FLOAT64), 1.5, 1.5),
        (ValueType(Kind.INT64), 3, 3),
        (ValueType(Kind.BOOLEAN), False, False),
        (ValueType(Kind.JSON), '{"a": 1}', '{"a": 1}'),
        (ValueType(Kind.DATE), None, None),
    ],
)
def test_values_are_shown_in_their_usual_spelling(value_type, value, text):
    assert readable(value_type, value) == text
