from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.binary import write_long
from schemas.block import UNSENT, Block, Op, Origin, Row, Transaction
from schemas.codec import BlockEncoder
from schemas.columnar import encode
from schemas.columnar.block import ColumnBlock
from schemas.columnar.encode import ColumnEncoder
from schemas.columnar.messages import Messages
from schemas.columnar.write import Branch, write_longs
from schemas.errors import ContractError
from schemas.fingerprint import fingerprint
from schemas.framing import single_object
from schemas.table import Column, Kind, TableSchema, ValueType
from schemas.values import Verbatim
from tests.support import columnar, strategies

NOW_US = 1_700_000_000_123_456
TABLE = TableSchema(
    "public",
    "t",
    (
        Column("id", ValueType(Kind.INT64), nullable=False, key_position=1, identity=True),
        Column("name", ValueType(Kind.STRING)),
        Column("price", ValueType(Kind.DECIMAL, 12, 2)),
    ),
)


@pytest.fixture(autouse=True)
def _columns_for_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "FEWEST", 1)
    monkeypatch.setattr(encode, "MANY", 1.0)


def register(subject: str, schema: dict) -> bytes:
    return single_object(fingerprint(schema))


def columnar_encoder(table: TableSchema) -> ColumnEncoder:
    kernels = [columnar.kernel(column.type) for column in table.columns]
    converters = [strategies.thaw] * len(table.columns)
    return ColumnEncoder(table, "p.public.t", "p", converters, kernels, register, lambda: NOW_US)


def reference_encoder(table: TableSchema) -> BlockEncoder:
    return BlockEncoder(table, "p.public.t", "p", [strategies.thaw] * len(table.columns), register, lambda: NOW_US)


def outcome(encoder: BlockEncoder | ColumnEncoder, block: Block | ColumnBlock) -> list | str:
    try:
        return list(encoder.encode(block))
    except ContractError as error:
        return str(error)


def repeated(block: Block, times: int) -> Block:
    lists = {name: getattr(block, name) * times for name in ("ops", "tx", "before", "after", "last", "key_change")}
    return replace(block, **lists, ordinals=list(range(0, 2 * len(block) * times, 2)))


def row(i: int) -> Row:
    return tuple(map(strategies.freeze, (i, f"row {i}", b"\x01\x02")))


def inserts(count: int) -> Block:
    return Block(
        TABLE, [Transaction(77, 1_000, "5")], 1, 0, Origin.LOG, [Op.CREATE] * count, [0] * count,
        list(range(0, 2 * count, 2)), [None] * count, [row(i) for i in range(count)], [True] * count, [False] * count,
    )  # fmt: skip


@given(st.data())
def test_columns_give_the_bytes_of_the_reference_for_any_block(data: st.DataObject) -> None:
    table = data.draw(strategies.tables())
    block = repeated(data.draw(strategies.blocks(table)), data.draw(st.integers(1, 3)))
    assert outcome(columnar_encoder(table), ColumnBlock.of(block)) == outcome(reference_encoder(table), block)


@given(st.data())
def test_a_block_by_column_is_the_same_block_row_by_row(data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(data.draw(strategies.tables())))
    assert ColumnBlock.of(block).to_block() == replace(block, ordinals=block.ordinals)


@given(st.data())
def test_some_rows_of_a_block_by_column_are_those_rows(data: st.DataObject) -> None:
    block = data.draw(strategies.blocks(data.draw(strategies.tables())))
    kept = [i for i in range(len(block)) if data.draw(st.booleans())]
    taken = ColumnBlock.of(block).take(np.array(kept, np.int64)).to_block()
    for name in ("ops", "tx", "ordinals", "before", "after", "last", "key_change"):
        assert getattr(taken, name) == [getattr(block, name)[i] for i in kept]


@pytest.mark.parametrize("count", [1, 149, 150, 151, 2_000, 2_001, 5_000])
def test_blocks_of_any_size_give_the_bytes_of_the_reference(count: int) -> None:
    block = inserts(count)
    assert list(columnar_encoder(TABLE).encode(ColumnBlock.of(block))) == reference_encoder(TABLE).encode(block)


def test_integers_of_every_length_have_the_bytes_of_the_reference() -> None:
    edges = [sign * (1 << bits) + offset for bits in range(63) for sign in (1, -1) for offset in (-1, 0, 1)]
    block = inserts(len(edges))
    block.after = [(strategies.freeze(edge), *row(0)[1:]) for edge in edges]
    encoder = columnar_encoder(TABLE)
    assert list(encoder.encode(ColumnBlock.of(block))) == reference_encoder(TABLE).encode(block)
    assert encoder.reference_rows == 0


def test_texts_longer_than_the_table_of_lengths_have_the_bytes_of_the_reference() -> None:
    block = inserts(4)
    lengths = (8_190, 8_191, 8_192, 1_100_000)
    block.after = [(row(i)[0], strategies.freeze("x" * n), None) for i, n in enumerate(lengths)]
    encoder = columnar_encoder(TABLE)
    assert list(encoder.encode(ColumnBlock.of(block))) == reference_encoder(TABLE).encode(block)
    assert encoder.reference_rows == 0


def test_only_rows_with_verbatim_values_and_key_changes_go_through_the_reference() -> None:
    block = inserts(10)
    block.after[3] = (row(3)[0], strategies.freeze(Verbatim("infinity")), None)
    block.ops[5], block.before[5], block.key_change[5] = Op.UPDATE, row(50), True
    block.ops[7], block.before[7], block.after[7] = Op.DELETE, (row(7)[0], UNSENT, UNSENT), None
    encoder = columnar_encoder(TABLE)
    assert list(encoder.encode(ColumnBlock.of(block))) == reference_encoder(TABLE).encode(block)
    assert encoder.reference_rows == 2


def test_a_block_with_many_odd_rows_goes_through_the_reference_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "MANY", 0.25)
    block = inserts(4)
    for i in range(2):
        block.after[i] = (row(i)[0], strategies.freeze(Verbatim("infinity")), None)
    encoder = columnar_encoder(TABLE)
    assert list(encoder.encode(ColumnBlock.of(block))) == reference_encoder(TABLE).encode(block)
    assert encoder.reference_rows == 4


def test_a_small_block_goes_through_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "FEWEST", 150)
    encoder = columnar_encoder(TABLE)
    encoder.encode(ColumnBlock.of(inserts(149)))
    assert encoder.reference_rows == 149
    encoder.encode(ColumnBlock.of(inserts(150)))
    assert encoder.reference_rows == 149


def test_a_block_of_another_version_is_refused() -> None:
    other = replace(TABLE, columns=TABLE.columns[:2])
    with pytest.raises(ContractError):
        columnar_encoder(other).encode(ColumnBlock.of(inserts(3)))


def test_batches_of_messages_are_the_messages_in_order() -> None:
    messages = columnar_encoder(TABLE).encode(ColumnBlock.of(inserts(4_500)))
    batches = list(messages.batches())
    assert max(len(keys) for keys, _ in batches) < 4_500
    assert [pair for keys, values in batches for pair in zip(keys, values, strict=True)] == [
        (message.key, message.value) for message in messages
    ]
    assert Counter(len(values) for _, values in batches)[0] == 0
    assert len(Messages.of(list(messages))) == 4_500


@pytest.mark.parametrize("branch", [Branch(b"\x02", b"\x00"), Branch(b"\x00", b"\x02"), Branch(b"", b"")])
@given(st.integers(1, 63), st.data())
def test_integers_of_any_size_and_nulls_between_are_written_as_one_by_one(
    branch: Branch, bits: int, data: st.DataObject
) -> None:
    number = st.integers(-(1 << bits), (1 << bits) - 1)
    numbers = data.draw(st.lists(number | st.sampled_from([0, -1, (1 << bits) - 1, -(1 << bits)]), min_size=1))
    values = np.array(numbers, np.int64)
    null = np.array([data.draw(st.booleans()) for _ in numbers])
    alone = [branch.value + write_long(one) for one in numbers]
    assert write_longs(values, None, branch).to_pylist() == alone
    between = [branch.null if gone else one for one, gone in zip(alone, null.tolist(), strict=True)]
    assert write_longs(values, null, branch).to_pylist() == between
