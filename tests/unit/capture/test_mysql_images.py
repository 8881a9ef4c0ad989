"""Row images of MySQL read by column: the reference reads them value by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from capture.sources.mysql.row_images import images, rows, splitting
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.row_images.rows import RowEvent, RowsError
from capture.sources.mysql.row_images.wire import Wire, WireType
from schemas.block import Op
from schemas.columnar.arrays import Unserved
from tests.support import mysql_images as made

#: A counterexample is small as it is.
FAST = (Phase.explicit, Phase.reuse, Phase.generate)


def by_column(table, cut):
    reader = images.Images(cut, images.fields(table.wires, table.columns))
    every = np.arange(len(cut))
    read = reader.read(every, reader.starts)
    assert (read.ends == reader.ends).all()
    return read.images.rows()


@settings(max_examples=60, phases=FAST)
@given(st.data())
def test_columns_of_every_type_hold_what_the_reference_reads(data):
    columns = data.draw(st.lists(made.columns(), min_size=1, max_size=5))
    lines = data.draw(st.lists(st.tuples(*(st.none() | column.cells for column in columns)), min_size=1, max_size=6))
    table = made.table(columns)
    event = rows.event(30, made.rows_body(len(columns), [made.image(list(line)) for line in lines]))
    cut = splitting.splitter(table.wires)(event)
    assert by_column(table, cut) == [made.row(list(line)) for line in lines]
    reference = rows.row_reader(table)
    assert [reference(row).after for row in cut] == [made.row(list(line)) for line in lines]


@settings(max_examples=20, phases=FAST)
@given(st.data())
def test_an_update_is_split_with_both_its_images(data):
    columns = data.draw(st.lists(made.columns(), min_size=1, max_size=10))
    line = st.tuples(*(st.none() | column.cells for column in columns)).map(list)
    pairs = data.draw(st.lists(st.tuples(line, line), min_size=1, max_size=4))
    table = made.table(columns)
    body = made.rows_body(len(columns), [made.image(one) for pair in pairs for one in pair], update=True)
    event = rows.event(31, body)
    cut = splitting.splitter(table.wires)(event)
    assert b"".join(row[1:] for row in cut) == event.images
    assert list(map(rows.row_reader(table), cut)) == rows.decoder(table)(event)


TEXT = made.Column(Wire(WireType.VARCHAR, 400), ColumnMeta("", "varchar", charset="utf8mb4", length=100), st.nothing())
INT = made.Column(Wire(WireType.LONG), ColumnMeta("", "int"), st.nothing())


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 7])
def test_an_event_that_does_not_hold_whole_rows_is_refused(cut):
    image = b"\0\1\0\0\0\3\0abc"
    event = rows.event(30, made.rows_body(2, [image, image[:-cut]]))
    with pytest.raises(RowsError):
        splitting.splitter(made.table([INT, TEXT]).wires)(event)


def test_an_event_without_all_columns_is_refused():
    event = rows.event(30, bytes(6) + b"\0\0" + b"\2\0" + b"\2" + b"\1" + b"\0\0\0\0\0")
    with pytest.raises(RowsError):
        splitting.splitter(made.table([INT, INT]).wires)(event)


def test_rows_whose_values_reach_beyond_them_are_not_served():
    table = made.table([TEXT])
    reader = images.Images([b"c\0\5\0abc", b"c\0\3\0abc"], images.fields(table.wires, table.columns))
    with pytest.raises(Unserved):
        reader.read(np.arange(2), reader.starts)


@pytest.mark.parametrize("fsp", range(7))
def test_fractions_of_any_number_of_digits_are_read_either_way(fsp):
    digits, stored = made._fraction(509_070, fsp)
    moment = ((2026 * 13 + 1) << 5 | 31) << 17 | 12 << 12 | 34 << 6 | 56
    time = (1 << 8 * (3 + len(stored)) - 1) - ((25 << 12 | 1) << 8 * len(stored) | int.from_bytes(stored, "big"))
    columns = [
        made.Column(Wire(WireType.DATETIME2, fsp), ColumnMeta("", "datetime", fsp=fsp), st.nothing()),
        made.Column(Wire(WireType.TIMESTAMP2, fsp), ColumnMeta("", "timestamp", fsp=fsp), st.nothing()),
        made.Column(Wire(WireType.TIME2, fsp), ColumnMeta("", "time", fsp=fsp), st.nothing()),
    ]
    line = [
        (f"2026-01-31 12:34:56{digits}".encode(), (moment + (1 << 39)).to_bytes(5, "big") + stored),
        (f"1970-01-02 00:00:01{digits}".encode(), (86_401).to_bytes(4, "big") + stored),
        (f"-25:00:01{digits}".encode(), time.to_bytes(3 + len(stored), "big")),
    ]
    table = made.table(columns)
    rows_of_it = [b"c" + made.image(line)]
    assert by_column(table, rows_of_it) == [made.row(line)] == [rows.row_reader(table)(rows_of_it[0]).after]


def test_a_zero_with_a_minus_is_zero_either_way():
    """No server is known to write one; numbers that compare equal must not have two texts."""
    meta = ColumnMeta("", "decimal", precision=4, scale=2)
    table = made.table([made.Column(Wire(WireType.NEWDECIMAL, 4, 2), meta, st.nothing())])
    row = b"c\xfe\x7f\xff"
    assert by_column(table, [row]) == [(b"0.00",)] == [rows.row_reader(table)(row).after]


def test_json_values_that_are_logged_as_no_differences_are_the_old_ones_and_others_are_refused():
    split = splitting.splitter([Wire(WireType.LONG), Wire(WireType.JSON, 4)])
    old = b"\0" + b"\1\0\0\0" + b"\2\0\0\0ab"

    def rows_of(new: bytes) -> list[bytes]:
        return split(
            RowEvent(
                1,
                Op.UPDATE,
                statement_end=True,
                width=2,
                present=b"\3",
                present_after=b"\3",
                images=(old + new) * 2,
                partial=True,
            )
        )

    whole = b"\0" + b"\2\0\0\0" + b"\2\0\0\0cd"
    assert rows_of(b"\0" + whole) == [b"u" + old + whole] * 2
    assert rows_of(b"\1\0" + whole) == [b"u" + old + whole] * 2
    assert rows_of(b"\1\1\0\2\0\0\0\0\0\0\0") == [b"u" + old + b"\0\2\0\0\0\2\0\0\0ab"] * 2
    with pytest.raises(splitting.PartialValue):
        rows_of(b"\1\1" + whole)
    with pytest.raises(RowsError):
        rows_of(b"\1")
