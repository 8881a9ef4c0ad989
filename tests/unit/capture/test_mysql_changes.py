"""Runs of MySQL's rows as blocks: by column exactly as row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from capture.runs import Run
from capture.sources.mysql.changes import TRUNCATE, Reading, block_of
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.row_images.forms import UnreadableValue
from capture.sources.mysql.row_images.rows import RowsError
from capture.sources.mysql.row_images.wire import Wire, WireType
from capture.sources.mysql.types import column
from schemas.block import Op, Transaction
from schemas.columnar.block import ColumnBlock, rows_of
from schemas.table import TableSchema
from tests.support import mysql_images as made

INT = made.Column(Wire(WireType.LONG), ColumnMeta("", "int"), st.nothing())
ENUM = made.Column(Wire(WireType.ENUM, 1), ColumnMeta("", "enum", charset="utf8mb4", labels=("a",)), st.nothing())


def reading(columns: list[made.Column]) -> Reading:
    table = made.table(columns)
    schema = TableSchema("shop", "t", tuple(map(column, table.columns)), connector="mysql")
    return Reading.of("shop.t", schema, table, table.columns)


def number(value: int) -> made.Cell:
    return str(value).encode(), value.to_bytes(4, "little")


def row(op: Op, *images: list[made.Cell | None]) -> bytes:
    return op.value.encode() + b"".join(map(made.image, images))


def run(version: Reading, rows: list[bytes]) -> Run[Reading, bytes]:
    return Run(version, [Transaction(1, 0, "x")], rows=rows, ended=True)


@settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_blocks_by_column_hold_what_blocks_row_by_row_hold(data):
    columns = data.draw(st.lists(made.columns(), min_size=1, max_size=4))
    key = columns[0].cells
    line = st.tuples(key, *(st.none() | one.cells for one in columns[1:])).map(list)
    change = st.one_of(
        st.builds(lambda a: row(Op.CREATE, a), line),
        st.builds(lambda a, b: row(Op.UPDATE, a, b), line, line),
        st.builds(lambda a: row(Op.DELETE, a), line),
        st.just(TRUNCATE),
    )
    rows = data.draw(st.lists(change, min_size=1, max_size=6))
    version = reading(columns)
    by_column = block_of(run(version, rows), fewest=1)
    assert isinstance(by_column, ColumnBlock)
    assert rows_of(by_column) == block_of(run(version, rows), fewest=100)


def test_a_key_change_is_told_and_another_update_is_not():
    version = reading([INT, INT])
    rows = [
        row(Op.UPDATE, [number(1), None], [number(2), None]),
        row(Op.UPDATE, [number(3), None], [number(3), number(1)]),
    ]
    for fewest in (1, 9):
        assert rows_of(block_of(run(version, rows), fewest)).key_change == [True, False]


@pytest.mark.parametrize("fewest", [1, 9])
def test_a_value_that_cannot_be_read_is_an_error_either_way(fewest):
    bad = row(Op.CREATE, [number(1), (b"", b"\x07")])
    with pytest.raises(UnreadableValue, match="column c1"):
        block_of(run(reading([INT, ENUM]), [bad]), fewest)


@pytest.mark.parametrize("fewest", [1, 9])
def test_a_row_that_is_too_short_is_an_error_either_way(fewest):
    with pytest.raises(RowsError):
        block_of(run(reading([INT, INT]), [row(Op.CREATE, [number(1), number(2)])[:-1]]), fewest)


def test_versions_that_read_alike_are_equal_and_others_are_not():
    one, same, other = reading([INT, INT]), reading([INT, INT]), reading([INT, ENUM])
    assert one == same
    assert one != other
    assert one != replace(one, name="shop.u")


def test_a_version_without_rows_can_be_truncated_only():
    version = Reading.without_rows("shop.t", TableSchema("shop", "t", (), connector="mysql"))
    block = rows_of(block_of(run(version, [TRUNCATE]), fewest=1))
    assert (block.ops, block.before, block.after) == ([Op.TRUNCATE], [None], [None])
    with pytest.raises(RowsError):
        block_of(run(version, [b"c\0"]))
