from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.runs import RunBuilder
from capture.sources.postgres import changes, pgoutput
from capture.sources.postgres.changes import Change, OtherIdentity, Reading, block_of
from capture.sources.postgres.pgoutput import ProtocolError
from schemas.block import UNSENT, Block, Op, Transaction
from schemas.columnar.block import ColumnBlock
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support import postgres_messages as wire
from tests.support.strategies import texts

if TYPE_CHECKING:
    from capture.runs import Run
    from schemas.block import Row

OID = 7
STRING = ValueType(Kind.STRING)


@st.composite
def tables(draw: st.DrawFn) -> Reading:
    """A table of up to four columns, some of them its key, some of them its replica identity."""
    width = draw(st.integers(1, 4))
    key = draw(st.permutations(range(width)))[: draw(st.integers(0, 2))]
    identity = [i in key or draw(st.booleans()) for i in range(width)]
    columns = tuple(
        Column(f"c{i}", STRING, key_position=key.index(i) + 1 if i in key else None, identity=identity[i])
        for i in range(width)
    )
    return Reading(OID, TableSchema("public", "t", columns), tuple(identity), ())


@st.composite
def messages(draw: st.DrawFn, table: Reading) -> bytes:
    """A row message of any kind; few values, so that keys stay equal and change."""
    cells = st.sampled_from([None, UNSENT, b"a", b"b"]) | texts.map(str.encode)
    row: st.SearchStrategy[Row] = st.tuples(*[cells] * len(table.sent))
    # What is sent of a replica identity is never NULL.
    key: st.SearchStrategy[Row] = st.tuples(*[cells.filter(bool) if sent else cells for sent in table.sent])
    kind = draw(st.sampled_from("IUKODd"))
    match kind:
        case "I":
            return wire.insert(OID, draw(row))
        case "U":
            return wire.update(OID, draw(row))
        case "K":
            return wire.update(OID, draw(row), key=draw(key))
        case "O":
            return wire.update(OID, draw(row), old=draw(row))
        case "D":
            return wire.delete(OID, key=draw(key))
    return wire.delete(OID, old=draw(row))


def run_of(table: Reading, rows: list[bytes | Change]) -> Run[Reading, bytes | Change]:
    builder: RunBuilder[Reading, bytes | Change] = RunBuilder()
    for position in range(0, len(rows), 3):
        builder.begin(Transaction(position, 0, ""))
        for row in rows[position : position + 3]:
            builder.sink(OID, table)(row)
        builder.commit()
    return builder.take()[0]


@given(st.data())
def test_a_run_read_by_column_is_the_block_read_row_by_row(data: st.DataObject) -> None:
    table = data.draw(tables())
    rows = data.draw(st.lists(messages(table), min_size=1, max_size=8))
    found = block_of(run_of(table, rows), fewest=1)
    assert isinstance(found, ColumnBlock)
    expected = block_of(run_of(table, [changes.change(table, row) for row in rows]), fewest=1)
    assert isinstance(expected, Block)
    assert found.to_block() == expected


@given(st.data())
def test_a_damaged_message_is_refused_or_read_as_it_is_read_alone(data: st.DataObject) -> None:
    table = data.draw(tables())
    rows = data.draw(st.lists(messages(table), min_size=1, max_size=3))
    at = data.draw(st.integers(1, len(rows[0]) - 1))
    rows[0] = rows[0][:at] + data.draw(st.binary(max_size=2)) + rows[0][at + data.draw(st.integers(0, 2)) :]
    try:
        expected = [changes.change(table, row) for row in rows]
    except (ProtocolError, ValueError, OtherIdentity):
        with pytest.raises((ProtocolError, ValueError, OtherIdentity)):
            block_of(run_of(table, rows), fewest=1)
        return
    if any(len(row) != len(table.sent) for c in expected for row in (c.before, c.after) if row is not None):
        return
    found = block_of(run_of(table, rows), fewest=1)
    rowwise = found.to_block() if isinstance(found, ColumnBlock) else found
    assert rowwise == block_of(run_of(table, expected), fewest=1)


@pytest.mark.parametrize(
    "message", [wire.delete(OID, key=(None, b"2")), wire.update(OID, (b"1", b"3"), key=(None, b"2"))]
)
@pytest.mark.parametrize("fewest", [1, 9])
def test_an_old_key_image_with_null_in_the_replica_identity_is_of_another_one(message: bytes, fewest: int) -> None:
    schema = TableSchema("public", "t", (Column("c0", STRING, key_position=1, identity=True), Column("c1", STRING)))
    table = Reading(OID, schema, (True, False), ())
    with pytest.raises(OtherIdentity):
        block_of(run_of(table, [wire.insert(OID, (b"0", b"0")), message]), fewest=fewest)


def test_a_run_that_holds_a_row_which_was_looked_into_is_read_row_by_row() -> None:
    schema = TableSchema("public", "t", (Column("c0", STRING, key_position=1, identity=True),))
    table = Reading(OID, schema, (True,), ())
    block = block_of(run_of(table, [wire.insert(OID, (b"1",)), Change(Op.TRUNCATE, None, None)]), fewest=1)
    assert isinstance(block, Block)
    assert (block.ops, block.after, block.ordinals, block.last) == (
        [Op.CREATE, Op.TRUNCATE], [(b"1",), None], [0, 2], [False, True],
    )  # fmt: skip


def test_an_insert_with_an_old_row_is_refused() -> None:
    table = Reading(OID, TableSchema("public", "t", (Column("c0", STRING),)), (False,), ())
    damaged = wire.update(OID, (b"1",), old=(b"2",)).replace(b"U", b"I", 1)
    with pytest.raises(ProtocolError):
        block_of(run_of(table, [damaged]), fewest=1)
    assert damaged[0] == pgoutput.INSERT
