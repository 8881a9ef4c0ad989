"""The codec: whatever a source sends comes out at apply, byte for byte, and plain Avro readers understand it."""

from __future__ import annotations

import io
import math
import traceback
from contextlib import suppress

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.block import UNSENT, Block, Op, Origin, Transaction
from schemas.codec import BlockEncoder, Message, UnreadableEventError, Verbatim
from schemas.codec_encode import NEW_KEY_HEADER, OLD_KEY_HEADER
from schemas.errors import ContractError
from schemas.order import OrderKey
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.codec import (
    NOW_US,
    TOPIC,
    Registry,
    decode,
    encode,
    expected_events,
    values_of,
    without_logical_types,
)
from tests.support.strategies import blocks, freeze, rows, tables, thaw


@given(st.data())
def test_every_event_comes_back_exactly_as_it_was_sent(data):
    block = data.draw(tables().flatmap(blocks))
    received = decode(block.table, values_of(encode(block)))
    expected = list(expected_events(block))
    got = zip(
        received.ops, received.before, received.after, received.orders, received.last, received.key_change, strict=True
    )
    assert [
        (op, before, after, OrderKey.unpack(order).ordinal, last, change)
        for op, before, after, order, last, change in got
    ] == expected
    assert received.table == block.table
    assert set(received.origins) <= {block.origin}
    assert received.offsets == list(range(len(expected)))


@given(st.data())
def test_order_keys_and_commit_times_are_those_of_the_transaction(data):
    block = data.draw(tables().flatmap(blocks))
    received = decode(block.table, values_of(encode(block)))
    rows_of_events = [i for i in range(len(block)) for _ in range(2 if block.key_change[i] else 1)]
    for at, i in enumerate(rows_of_events):
        transaction = block.transactions[block.tx[i]]
        key = OrderKey.unpack(received.orders[at])
        assert key[:3] == (block.incarnation, transaction.position, block.run)
        assert received.committed_us[at] == transaction.committed_us


@given(st.data())
def test_a_general_avro_library_reads_every_key_and_value_with_the_schema_alone(data):
    table = data.draw(tables())
    block = data.draw(blocks(table))
    registry = Registry()
    for message in encode(block, registry):
        if message.key is not None:
            assert len(registry.read(message.key)) == len(table.key)
        if message.value is not None:
            event = registry.read(message.value)
            assert event["source"]["name"] == "shop"
            assert event["ts_us"] == NOW_US
            assert event["transaction"] is None


@given(st.data())
def test_a_general_avro_library_writes_the_same_bytes(data):
    block = data.draw(tables().flatmap(blocks))
    registry = Registry()
    for value in values_of(encode(block, registry)):
        written = io.BytesIO()
        schema = without_logical_types(registry.schemas[value[:10]])
        fastavro.schemaless_writer(written, schema, registry.read(value))
        assert written.getvalue() == value[10:]


@given(st.data())
def test_two_rows_have_the_same_key_bytes_exactly_when_their_keys_are_the_same(data):
    table = data.draw(tables(keyed=True))
    one, two = data.draw(rows(table)), data.draw(rows(table))
    block = Block(
        table,
        [Transaction(1, 2, "3")],
        ops=[Op.CREATE] * 2,
        tx=[0, 0],
        ordinals=[0, 2],
        before=[None] * 2,
        after=[one, two],
        last=[True] * 2,
        key_change=[False] * 2,
    )
    first, second = encode(block)
    texts = [[thaw(row[i]) for i in table.key] for row in (one, two)]
    if [one[i] for i in table.key] == [two[i] for i in table.key]:
        assert first.key == second.key
    elif not any(isinstance(value, Verbatim) for key in texts for value in key):
        assert first.key != second.key


@given(st.data())
def test_damaged_bytes_are_an_unreadable_event_or_another_event_but_never_a_crash(data):
    table = data.draw(tables())
    values = values_of(encode(data.draw(blocks(table).filter(len))))
    value = bytearray(data.draw(st.sampled_from(values)))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(10, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(10, len(value)))
    with suppress(UnreadableEventError):
        assert len(decode(table, [bytes(value[:cut])])) == 1


@given(st.data())
def test_a_cut_event_and_bytes_after_its_end_are_refused(data):
    table = data.draw(tables())
    value = data.draw(st.sampled_from(values_of(encode(data.draw(blocks(table).filter(len))))))
    for damaged in (
        value[: data.draw(st.integers(10, len(value) - 1))],
        value + data.draw(st.binary(min_size=1, max_size=9)),
    ):
        with pytest.raises(UnreadableEventError):
            decode(table, [damaged])


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


def test_a_delete_is_followed_by_a_tombstone_of_the_same_key():
    delete, tombstone = encode(block_of(Op.DELETE, (1, UNSENT, UNSENT), None))
    assert tombstone == Message(delete.key, None, [])


def test_a_delete_without_a_key_has_no_tombstone():
    keyless = TableSchema("public", "log", (Column("line", ValueType(Kind.STRING)),))
    (message,) = encode(block_of(Op.DELETE, ("x",), None, table=keyless))
    assert message.key is None


def test_a_truncate_has_neither_key_nor_rows():
    registry = Registry()
    (message,) = encode(block_of(Op.TRUNCATE, None, None), registry)
    event = registry.read(message.value)
    assert (message.key, event["op"], event["before"], event["after"]) == (None, "t", None, None)


def test_a_key_change_is_a_delete_a_tombstone_and_a_create_joined_by_headers():
    registry = Registry()
    delete, tombstone, create = encode(
        block_of(Op.UPDATE, (1, UNSENT, UNSENT), (2, b"\x01", UNSENT), key_change=True), registry
    )
    assert [registry.read(m.key) for m in (delete, tombstone, create)] == [{"id": 1}, {"id": 1}, {"id": 2}]
    assert tombstone.value is None
    assert delete.headers == [(NEW_KEY_HEADER, create.key)]
    assert create.headers == [(OLD_KEY_HEADER, delete.key)]
    events = [registry.read(m.value) for m in (delete, create)]
    assert [(e["op"], e["last"], e["key_change"]) for e in events] == [("d", False, True), ("c", True, True)]
    assert [OrderKey.unpack(e["order"]).ordinal for e in events] == [4, 5]
    assert events[1]["unavailable"] == ["note"]
    assert events[1]["before"]["id"] == 1


def test_columns_not_sent_are_listed_and_null_ones_are_not():
    registry = Registry()
    (message,) = encode(block_of(Op.UPDATE, None, (1, None, UNSENT)), registry)
    event = registry.read(message.value)
    assert event["after"] == {"id": 1, "price": None, "note": None}
    assert event["unavailable"] == ["note"]
    assert event["unavailable_before"] is None


def test_a_value_beyond_its_type_travels_as_text_beside_a_null():
    registry = Registry()
    (message,) = encode(block_of(Op.CREATE, None, (1, Verbatim("NaN"), "x")), registry)
    event = registry.read(message.value)
    assert event["after"]["price"] is None
    assert event["verbatim"] == {"price": "NaN"}
    assert decode(ITEMS, [message.value]).after == [(freeze(1), b"NaN", freeze("x"))]


def test_a_verbatim_key_has_a_schema_of_its_own_that_holds_type_or_text():
    table = TableSchema(
        "public",
        "n",
        (
            Column("n", ValueType(Kind.DECIMAL, 5, 0), key_position=2),
            Column("k", ValueType(Kind.INT32), key_position=1),
        ),
    )
    registry = Registry()
    (plain,) = encode(block_of(Op.CREATE, None, (b"\x05", 7), table=table), registry)
    (odd,) = encode(block_of(Op.CREATE, None, (Verbatim("NaN"), 7), table=table), registry)
    assert plain.key[:10] != odd.key[:10]
    assert registry.read(plain.key) == {"k": 7, "n": b"\x05"}
    assert registry.read(odd.key) == {"k": 7, "n": "NaN"}


def test_a_key_column_that_was_not_sent_is_taken_from_the_old_row():
    registry = Registry()
    (message,) = encode(block_of(Op.UPDATE, (1, None, None), (UNSENT, None, None)), registry)
    assert registry.read(message.key) == {"id": 1}


@pytest.mark.parametrize("row", [(None, None, None), (UNSENT, None, None)])
def test_a_key_without_a_value_is_refused(row):
    with pytest.raises(ContractError, match="key column id"):
        encode(block_of(Op.CREATE, None, row))


@pytest.mark.parametrize("value", [2**63, "text", None.__class__, math.nan])
def test_a_value_of_another_type_is_refused_without_showing_it(value):
    with pytest.raises(ContractError, match=r"column id: a value that its type cannot hold$"):
        encode(block_of(Op.CREATE, None, (value, None, None)))


def test_an_error_does_not_drag_the_value_along():
    encoder = BlockEncoder(ITEMS, TOPIC, "shop", [int, bytes, str], Registry().register)
    secret = "canary"
    block = block_of(Op.CREATE, None, (secret, None, None))
    with pytest.raises(ContractError) as caught:
        encoder.encode(block)
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_the_source_block_says_where_a_row_came_from():
    registry = Registry()
    (message,) = encode(block_of(Op.CREATE, None, (1, None, None)), registry)
    assert registry.read(message.value)["source"] == {
        "version": "1.0", "connector": "postgresql", "name": "shop", "ts_ms": 1_700_000_000_000, "snapshot": "false",
        "db": "shop", "sequence": None, "ts_us": 1_700_000_000_000_001, "ts_ns": 1_700_000_000_000_001_000,
        "schema": "public", "table": "items", "txId": 731, "lsn": 0x16B3748, "xmin": None, "origin": None,
        "origin_lsn": None,
    }  # fmt: skip


def test_a_block_of_another_table_version_is_refused():
    other = TableSchema("public", "items", ITEMS.columns[:1], database="shop")
    encoder = BlockEncoder(ITEMS, TOPIC, "shop", [thaw] * 3, Registry().register)
    with pytest.raises(ContractError, match="another version"):
        encoder.encode(block_of(Op.CREATE, None, (1,), table=other))
