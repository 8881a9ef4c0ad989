"""Hostile bytes: every event that cannot be read is named, and nothing else happens."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import envelope_schema, table_schema
from schemas.binary import writer
from schemas.block import UNSENT, Block, Op, Origin, Transaction
from schemas.codec import BlockDecoder, UnreadableEventError
from schemas.errors import ContractError
from schemas.fingerprint import schema_text
from schemas.table import Column, Kind, TableSchema, ValueType
from schemas.values import MAX_SCALE
from tests.support.codec import TOPIC, Registry, decode, encode, values_of
from tests.support.strategies import freeze, freezer, tables

ITEMS = TableSchema(
    "public",
    "items",
    (
        Column("id", ValueType(Kind.INT64), key_position=1, identity=True, nullable=False),
        Column("price", ValueType(Kind.DECIMAL, 10, 2)),
        Column("note", ValueType(Kind.STRING)),
    ),
    database="shop",
)
COMMIT = Transaction(position=0x16B3748, committed_us=1_700_000_000_000_001, id="731")


def block_of(op: Op, before, after, *, key_change: bool = False, table: TableSchema = ITEMS) -> Block:
    frozen = [
        None if row is None else tuple(v if v is None or v is UNSENT else freeze(v) for v in row)
        for row in (before, after)
    ]
    return Block(
        table,
        [COMMIT],
        incarnation=1,
        origin=Origin.LOG,
        ops=[op],
        tx=[0],
        ordinals=[4],
        before=frozen[:1],
        after=frozen[1:],
        last=[True],
        key_change=[key_change],
    )


def test_the_first_unreadable_event_is_named_by_its_offset_and_place():
    good = values_of(encode(block_of(Op.CREATE, None, (1, None, "canary"))))[0]
    with pytest.raises(UnreadableEventError) as caught:
        BlockDecoder(envelope_schema(ITEMS, TOPIC), freezer).decode([good, good[:-1]], [7, 9], start=10)
    assert (caught.value.index, caught.value.offset) == (1, 9)
    assert "canary" not in str(caught.value)


def test_a_length_beyond_the_message_is_refused_before_anything_is_made_of_it():
    huge = b"\x02" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    with pytest.raises(UnreadableEventError):
        decode(TableSchema("s", "t", (Column("a", ValueType(Kind.BYTES)),)), [b"\0" * 10 + b"\x00\x02" + huge])


@pytest.mark.parametrize(
    "changes",
    [
        {"op": "x"},
        {"op": "t"},
        {"op": "d"},
        {"after": None},
        {"before": {"id": 1}, "op": "r"},
        {"order": None},
        {"order": b"short"},
        {"last": None},
        {"unavailable": ["nothing"]},
        {"unavailable": ["id"]},
        {"unavailable": ["note", "note"]},
        {"unavailable": ["note"], "verbatim": {"note": "x"}},
        {"verbatim": {"id": "NaN"}},
        {"unavailable_before": ["note"]},
        {"verbatim_before": {"note": "x"}},
        {"source": {"snapshot": "sometimes"}},
        {"source": {"snapshot": None}},
        {"source": {"ts_us": None}},
    ],
)
def test_an_event_that_contradicts_itself_is_unreadable(changes):
    registry = Registry()
    (message,) = encode(block_of(Op.CREATE, None, (1, None, None)), registry)
    event = registry.read(message.value)
    event |= {**changes, "source": event["source"] | changes.get("source", {})}
    with pytest.raises(UnreadableEventError):
        decode(ITEMS, [bytes(10) + writer(envelope_schema(ITEMS, TOPIC))(event)])


@pytest.mark.parametrize("scale", [2**31 - 1, MAX_SCALE + 1, -MAX_SCALE - 1])
def test_a_number_with_more_digits_than_any_is_refused(scale):
    table = TableSchema("s", "t", (Column("n", ValueType(Kind.VARIABLE_DECIMAL)),))
    values = values_of(encode(block_of(Op.CREATE, None, ({"scale": scale, "value": b"\x01"},), table=table)))
    with pytest.raises(UnreadableEventError):
        decode(table, values)


def test_a_renderer_that_refuses_a_value_makes_its_event_unreadable():
    def renderer(_):
        def refuse(value):
            raise ValueError(f"canary {value}")

        return refuse

    values = values_of(encode(block_of(Op.CREATE, None, (1, None, None))))
    with pytest.raises(UnreadableEventError, match="offset 5") as caught:
        BlockDecoder(envelope_schema(ITEMS, TOPIC), renderer).decode(values, [5], start=10)
    assert "canary" not in str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["null", "string", "long", "record", "bytes", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "fields", "items"]), inner)
    ),
    max_leaves=4,
)


@given(tables(), st.data())
def test_a_damaged_schema_is_refused_or_read_but_never_a_crash(table, data):
    schema = json.loads(schema_text(envelope_schema(table, TOPIC)))
    parts = [schema]
    for part in parts:
        parts += [
            inner for inner in (part.values() if isinstance(part, dict) else part) if isinstance(inner, dict | list)
        ]
    part = data.draw(st.sampled_from([part for part in parts if part]))
    place = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[place] = data.draw(json_values)
    with suppress(ContractError):
        BlockDecoder(schema, freezer)


def test_the_decoder_knows_the_table_version_of_its_schema():
    assert (
        BlockDecoder(envelope_schema(ITEMS, TOPIC), freezer).table
        == table_schema(envelope_schema(ITEMS, TOPIC))
        == ITEMS
    )
