from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import envelope_schema
from schemas.binary import write_long
from schemas.block import UNSENT, Block, Op, Origin, Transaction
from schemas.codec import BlockDecoder, BlockEncoder
from schemas.codec_decode import UnreadableEventError
from schemas.columnar import decode
from schemas.columnar.decode import ColumnDecoder
from schemas.columnar.received import ReceivedColumns
from schemas.columnar.tail import TailReader
from schemas.columnar.tails import Tail
from schemas.columnar.walk import Walk
from schemas.received import Received
from schemas.table import TableSchema
from tests.support import columnar, strategies
from tests.unit.schemas.test_columnar_encode import TABLE, inserts, register, repeated, row

FRAME = len(register("", {}))


@pytest.fixture(autouse=True)
def _columns_for_any_share_of_odd_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MANY", 1.0)


def envelope(table: TableSchema) -> dict:
    return json.loads(json.dumps(envelope_schema(table, "p.public.t")))


def columnar_decoder(table: TableSchema) -> ColumnDecoder:
    return ColumnDecoder(envelope(table), strategies.freezer, columnar.freezer, fewest=1)


def reference_decoder(table: TableSchema) -> BlockDecoder:
    return BlockDecoder(envelope(table), strategies.freezer)


def messages(block: Block) -> list[bytes]:
    encoder = BlockEncoder(block.table, "p.public.t", "p", [strategies.thaw] * len(block.table.columns), register)
    return [message.value for message in encoder.encode(block) if message.value is not None]


def outcome(decoder: BlockDecoder | ColumnDecoder, values: list[bytes]) -> Received | tuple:
    try:
        found = decoder.decode(values, range(100, 100 + len(values)), FRAME)
    except UnreadableEventError as error:
        return error.index, error.offset, str(error)
    return found.to_received() if isinstance(found, ReceivedColumns) else found


@given(st.data())
def test_columns_give_the_values_of_the_reference_for_any_block(data: st.DataObject) -> None:
    table = data.draw(strategies.tables())
    values = messages(repeated(data.draw(strategies.blocks(table)), data.draw(st.integers(1, 3))))
    assert outcome(columnar_decoder(table), values) == outcome(reference_decoder(table), values)


@given(st.data())
def test_a_damaged_message_gives_what_the_reference_gives(data: st.DataObject) -> None:
    table = data.draw(strategies.tables())
    values = messages(repeated(data.draw(strategies.blocks(table)), 2))
    if not values:
        return
    place = data.draw(st.integers(0, len(values) - 1))
    at = data.draw(st.integers(FRAME, len(values[place]) - 1))
    cut = data.draw(st.integers(0, 3))
    values[place] = values[place][:at] + data.draw(st.binary(max_size=3)) + values[place][at + cut :]
    assert outcome(columnar_decoder(table), values) == outcome(reference_decoder(table), values)


@given(st.data())
def test_events_by_column_are_the_same_events_one_by_one(data: st.DataObject) -> None:
    table = data.draw(strategies.tables())
    values = messages(data.draw(strategies.blocks(table)))
    received = reference_decoder(table).decode(values, list(range(len(values))), FRAME)
    columns = ReceivedColumns.of(received)
    assert columns.to_received() == received
    kept = [i for i in range(len(received)) if data.draw(st.booleans())]
    taken = columns.take(np.array(kept, np.int64)).to_received()
    for name in ("ops", "before", "after", "orders", "last", "key_change", "origins", "committed_us", "offsets"):
        assert getattr(taken, name) == [getattr(received, name)[i] for i in kept]


@pytest.mark.parametrize("count", [1, 150, 3_000])
def test_ordinary_events_are_served_in_columns(count: int) -> None:
    decoder, values = columnar_decoder(TABLE), messages(inserts(count))
    assert outcome(decoder, values) == outcome(reference_decoder(TABLE), values)
    assert decoder.reference_rows == 0


def test_deletes_that_hold_the_key_alone_and_rows_with_a_column_not_sent_are_served_in_columns() -> None:
    block = inserts(6)
    for i in (1, 3):
        block.ops[i], block.before[i], block.after[i] = Op.DELETE, (row(i)[0], UNSENT, UNSENT), None
    block.ops[4], block.after[4] = Op.UPDATE, (*row(4)[:2], UNSENT)
    block.ops[5], block.after[5] = Op.UPDATE, (row(5)[0], UNSENT, None)
    decoder, values = columnar_decoder(TABLE), messages(block)
    assert outcome(decoder, values) == outcome(reference_decoder(TABLE), values)
    assert decoder.reference_rows == 0


def streamed() -> list[bytes]:
    """Return messages of many transactions, every fifth a delete that holds the key alone, and some of a chunk."""
    block = inserts(40)
    block.transactions = [Transaction(70 + i, 1_700_000_000_000_000 + 130 * i, f"{500 + i}") for i in range(20)]
    block.tx = [i // 2 for i in range(40)]
    block.last = [i % 2 == 1 for i in range(40)]
    for i in range(0, 40, 5):
        block.ops[i], block.before[i], block.after[i] = Op.DELETE, (row(i)[0], UNSENT, UNSENT), None
    chunk = inserts(10)
    chunk.transactions, chunk.origin, chunk.run = [Transaction(99, 1_700_000_000_000_000, "")], Origin.CHUNK, 7
    chunk.ops = [Op.READ] * 10
    return messages(block) + messages(chunk)


def walked(self: TailReader, walk: Walk, at: np.ndarray) -> Tail:
    raise AssertionError("read field by field")


@pytest.mark.parametrize("values", [streamed(), messages(inserts(3)), streamed()[-10:]], ids=["stream", "few", "chunk"])
def test_events_whose_fields_lie_at_the_same_places_are_read_together(
    values: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TailReader, "_walked", walked)
    decoder = columnar_decoder(TABLE)
    assert outcome(decoder, values) == outcome(reference_decoder(TABLE), values)
    assert decoder.reference_rows == 0


def test_tails_of_too_many_lengths_are_read_field_by_field() -> None:
    block = inserts(20)
    block.transactions = [Transaction(1 << 8 * (i % 7), 5, "") for i in range(20)]
    block.tx = list(range(20))
    decoder, values = columnar_decoder(TABLE), messages(block)
    assert outcome(decoder, values) == outcome(reference_decoder(TABLE), values)
    assert decoder.reference_rows == 0


@pytest.mark.parametrize("committed_us", [1_700_000_000_000_000, -(1 << 63)])
def test_any_damaged_byte_behind_the_rows_of_alike_events_gives_what_the_reference_gives(committed_us: int) -> None:
    block = inserts(3)
    block.transactions = [Transaction(77, committed_us, "5")]
    whole, columns, reference = messages(block), columnar_decoder(TABLE), reference_decoder(TABLE)
    behind = whole[1].index(b"row 1") + len(b"row 1") + 4  # and the price
    for at in range(behind, len(whole[1])):
        byte = whole[1][at]
        for other in {2, byte ^ 1, byte ^ 0x80} - {byte}:
            damaged = whole[1][:at] + bytes((other,)) + whole[1][at + 1 :]
            for values in ([whole[0], damaged, whole[2]], [damaged, damaged]):
                assert outcome(columns, values) == outcome(reference, values)


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=2, max_size=6))
def test_commit_times_of_any_size_are_told_apart_in_alike_events(times: list[int]) -> None:
    block = inserts(len(times))
    block.transactions = [Transaction(7, time - (1 << 63), "") for time in times]
    block.tx = list(range(len(times)))
    values = messages(block)
    assert outcome(columnar_decoder(TABLE), values) == outcome(reference_decoder(TABLE), values)


def test_which_events_are_above_a_mark_is_told_as_one_by_one() -> None:
    decoded = columnar_decoder(TABLE).decode(messages(inserts(300)), range(300), FRAME)
    assert isinstance(decoded, ReceivedColumns)
    assert decoded.above(b"") is None
    assert decoded.above(decoded.order(255)).tolist() == [i > 255 for i in range(300)]
    replayed = decoded.take(np.array([0, 1, 2, 0, 1, 2, 3]))
    assert replayed.above(b"").tolist() == [True, True, True, False, False, False, True]


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-100, 100), min_size=1))
def test_integers_are_walked_to_their_ends(numbers: list[int]) -> None:
    walk = Walk([write_long(number) for number in numbers])
    found, after = walk.longs(walk.starts)
    assert found.tolist() == numbers
    assert after.tolist() == walk.ends.tolist()
