"""Rows gathered into blocks."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from schemas.block import Op, Transaction
from schemas.event import events
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.blocks import BlockBuilder

INT = ValueType(Kind.INT64)
VERSIONS = {
    name: [TableSchema("s", name, (Column("k", INT, key_position=1, identity=True), *[Column(f"c{i}", INT) for i in range(v)]))
           for v in (0, 1)]
    for name in "ab"
}  # fmt: skip

rows = st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.sampled_from([Op.CREATE, Op.UPDATE, Op.TRUNCATE]))
transactions = st.lists(st.lists(rows, max_size=8), max_size=6)


def images(table, op, serial):
    if op is Op.TRUNCATE:
        return None, None
    row = (b"%d" % serial,) * len(table.columns)
    return (row if op is Op.UPDATE and serial % 2 else None), row


@given(transactions, st.sets(st.integers(0, 60)))
def test_every_row_comes_out_once_in_order_with_ordinals_and_the_end_mark_on_the_last_row_of_its_transaction(
    txs, takes
):
    builder, out, expected, step = BlockBuilder(), defaultdict(list), defaultdict(list), 0
    for position, tx in enumerate(txs, 1):
        builder.begin(Transaction(position, 0, str(position)))
        ordinals = defaultdict(int)
        for name, version, op in tx:
            table = VERSIONS[name][version]
            before, after = images(table, op, step)
            builder.row(table, op, before, after)
            expected[name].append([table, op, after, position, ordinals[name], False])
            ordinals[name] += 2
            step += 1
            if step in takes:
                collect(builder, out)
        builder.commit()
        for name in ordinals:
            expected[name][-1][-1] = True
    collect(builder, out)
    assert builder.rows == 0
    assert {k: v for k, v in out.items() if v} == {k: [tuple(r) for r in v] for k, v in expected.items()}


def collect(builder, out):
    for block in builder.take():
        for e in events(block):
            out[e.table.name].append((e.table, e.op, e.after, e.transaction.position, e.order.ordinal, e.last))


def test_the_last_row_of_an_open_transaction_is_held_back_until_it_is_known_whether_another_follows():
    builder, table = BlockBuilder(), VERSIONS["a"][0]
    builder.begin(Transaction(1, 0, "1"))
    builder.row(table, Op.CREATE, None, (b"1",))
    builder.row(table, Op.CREATE, None, (b"2",))
    assert [len(block) for block in builder.take()] == [1]
    assert builder.take() == []
    builder.commit()
    (block,) = builder.take()
    assert (block.after, block.last) == ([(b"2",)], [True])


def test_a_changed_key_is_noticed_by_its_value():
    builder, table = BlockBuilder(), VERSIONS["a"][0]
    builder.begin(Transaction(1, 0, "1"))
    builder.row(table, Op.UPDATE, (b"1",), (b"2",))
    builder.row(table, Op.UPDATE, (b"2",), (b"2",))
    builder.row(table, Op.UPDATE, None, (b"2",))
    builder.commit()
    (block,) = builder.take()
    assert block.key_change == [True, False, False]
