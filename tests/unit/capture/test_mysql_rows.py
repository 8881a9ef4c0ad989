"""Row events of MySQL, read value by value."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from capture.sources.mysql import types
from capture.sources.mysql.row_images import forms, rows
from capture.sources.mysql.row_images.column_meta import ColumnMeta, refined
from capture.sources.mysql.row_images.forms import UnreadableValue
from capture.sources.mysql.row_images.rows import RowsError
from capture.sources.mysql.row_images.table_map import TableMap
from capture.sources.mysql.row_images.wire import Wire, WireType
from schemas.block import UNSENT, Op
from tests.support import mysql_images as images

#: A counterexample is small as it is.
FAST = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=50, phases=FAST)
@given(st.data())
def test_what_a_server_writes_comes_back_for_every_type(data):
    columns = data.draw(st.lists(images.columns(), min_size=1, max_size=12))
    lines = data.draw(st.lists(st.tuples(*(st.none() | column.cells for column in columns)), min_size=1, max_size=4))
    body = images.rows_body(len(columns), [images.image(list(line)) for line in lines])
    found = rows.decoder(images.table(columns))(rows.event(30, body))
    assert [change.after for change in found] == [images.row(list(line)) for line in lines]
    assert all(change.before is None for change in found)


INT = images.Column(Wire(WireType.LONG), ColumnMeta("", "int"), st.nothing())


def number(value: int) -> images.Cell:
    return str(value).encode(), value.to_bytes(4, "little", signed=True)


def test_an_update_has_the_old_image_before_the_new():
    body = images.rows_body(1, [images.image([number(1)]), images.image([number(2)])], update=True)
    event = rows.event(31, body)
    assert event.op is Op.UPDATE
    assert event.complete
    assert rows.decoder(images.table([INT]))(event) == [((b"1",), (b"2",))]


def test_a_delete_has_the_old_image_alone():
    event = rows.event(32, images.rows_body(1, [images.image([number(1)])]))
    assert rows.decoder(images.table([INT]))(event) == [((b"1",), None)]


def test_a_column_that_an_image_lacks_is_unsent_and_not_null():
    present, nulls = b"\x02", b"\x00"
    body = bytes(6) + b"\0\0" + b"\2\0" + b"\2" + present + nulls + number(5)[1]
    event = rows.event(30, body)
    assert not event.complete
    assert rows.decoder(images.table([INT, INT]))(event) == [(None, (UNSENT, b"5"))]


def test_a_compressed_row_event_is_the_one_that_was_compressed():
    plain = images.image([number(1)]) * 200
    stored = b"\x82" + len(plain).to_bytes(2, "big") + zlib.compress(plain)
    head = (7).to_bytes(6, "little") + b"\0\0" + b"\1" + b"\x01"
    event = rows.event(166, head + stored)
    assert rows.decoder(images.table([INT]))(event) == [(None, (b"1",))] * 200


@pytest.mark.parametrize("cut", [1, 3, 4])
def test_an_event_that_ends_in_the_middle_of_a_row_is_refused(cut):
    body = images.rows_body(1, [images.image([number(1)])])[:-cut]
    with pytest.raises(RowsError):
        rows.decoder(images.table([INT]))(rows.event(30, body))


def test_an_event_of_another_width_than_its_table_is_refused():
    with pytest.raises(RowsError):
        rows.decoder(images.table([INT, INT]))(rows.event(30, images.rows_body(1, [images.image([number(1)])])))


def test_events_with_differences_of_json_are_not_read_as_rows():
    body = images.rows_body(1, [images.image([number(1)])])
    with pytest.raises(RowsError):
        rows.decoder(images.table([INT]))(rows.event(30, body)._replace(partial=True))


@pytest.mark.parametrize(
    ("wire", "meta", "stored"),
    [
        (Wire(WireType.VARCHAR, 10), ColumnMeta("v", "varchar", charset="sjis", length=5), b"\x02\xff\xff"),
        (Wire(WireType.ENUM, 1), ColumnMeta("v", "enum", charset="utf8mb4", labels=("a",)), b"\x02"),
        (Wire(WireType.SET, 1), ColumnMeta("v", "set", charset="utf8mb4", labels=("a",)), b"\x02"),
        (Wire(WireType.JSON, 4), ColumnMeta("v", "json"), b"\x02\0\0\0\x0c\x05"),
        (Wire(WireType.VARCHAR_COMPRESSED, 11), ColumnMeta("v", "varbinary", length=10), b"\x03\x81\x02\x00"),
    ],
)
def test_a_value_that_cannot_be_read_is_an_error_that_names_the_column_and_shows_nothing(wire, meta, stored):
    table = TableMap(7, "shop", "t", (wire,), (meta,))
    with pytest.raises(UnreadableValue, match=r"^column v: ") as caught:
        rows.decoder(table)(rows.event(30, images.rows_body(1, [b"\xfe" + stored])))
    assert caught.value.__cause__ is None


def test_types_that_the_log_shows_as_bytes_get_their_text_from_the_catalog():
    logged = [
        ColumnMeta("u", "binary", length=16),
        ColumnMeta("b", "binary", length=16),
        ColumnMeta("i", "binary", length=4),
        ColumnMeta("changed", "binary", length=8),
    ]
    catalog = [
        ColumnMeta("u", "uuid"),
        ColumnMeta("b", "binary", length=16),
        ColumnMeta("i", "inet4"),
        ColumnMeta("changed", "uuid"),
    ]
    metas = refined(logged, catalog)
    assert [meta.data_type for meta in metas] == ["uuid", "binary", "inet4", "binary"]
    table = TableMap(7, "shop", "t", tuple(Wire(WireType.STRING, size) for size in (16, 16, 4, 8)), tuple(logged))
    stored = [bytes(range(16)), bytes(16), b"\x0a\0\0\1", b"x"]
    row = b"\xf0" + b"".join(bytes([len(one.rstrip(b"\0"))]) + one.rstrip(b"\0") for one in stored)
    (found,) = rows.decoder(table, metas)(rows.event(30, images.rows_body(4, [row])))
    assert found.after == (
        b"00010203-0405-0607-0809-0a0b0c0d0e0f",
        bytes(16),
        b"10.0.0.1",
        b"x\0\0\0\0\0\0\0",
    )


def test_the_select_list_and_the_log_make_an_address_with_the_same_function():
    meta = ColumnMeta("i", "inet6")
    form = forms.selected(meta)
    assert form is not None
    assert form(bytes(15) + b"\1") == b"::1"
    assert types.column(meta).target_type == "inet"
