"""The rows of a MySQL table for a comparison: conditions on keys, and values as COPY text."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apply.types import renderer
from capture.sources.mysql import types
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.values import converter
from operate.validate.mysql_rows import MySQLTable
from schemas.copy_text import escape
from schemas.values import Verbatim


def table(*metas: ColumnMeta, key: tuple[str, ...] = ()) -> MySQLTable:
    return MySQLTable("shop", "t", metas, tuple(types.column(meta) for meta in metas), key)


A, B, C = (ColumnMeta(name, "int", "int", key_position=i) for i, name in enumerate("abc", 1))
KEYED = table(A, B, C, key=("a", "b", "c"))

keys = st.tuples(*[st.integers(-1, 2)] * 3)


@given(rows=st.sets(keys, min_size=1), data=st.data())
def test_a_range_of_a_composite_key_holds_what_lies_above_its_low_end_up_to_its_high_end(rows, data):
    """SQLite reads these conditions as MySQL does. Ends are often rows, as they are when a table is walked."""
    low, high = (data.draw(st.none() | keys | st.sampled_from(sorted(rows))) for _ in range(2))
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a int, b int, c int)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        texts = [None if border is None else tuple(map(str, border)) for border in (low, high)]
        found = database.execute(f"SELECT * FROM t WHERE {KEYED.within(*texts)}").fetchall()

    expected = {row for row in rows if (low is None or row > low) and (high is None or row <= high)}
    assert set(found) == expected
    assert len(found) == len(expected)


@given(rows=st.sets(keys), wanted=st.lists(keys, min_size=1))
def test_ids_find_their_rows_and_no_other(rows, wanted):
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a int, b int, c int)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        condition = KEYED.among([tuple(map(str, one)) for one in wanted]).replace(" IN (", " IN (VALUES ", 1)
        found = database.execute(f"SELECT * FROM t WHERE {condition}").fetchall()

    assert set(found) == rows & set(wanted)


TEXT = ColumnMeta("v", "varchar", "varchar(20)", charset="utf8mb4", length=20)


def test_a_text_cannot_end_its_literal():
    keyed = table(TEXT, key=("v",))

    assert (
        keyed.among([("a'); DROP TABLE t; --",)])
        == "(`v`) IN ((_utf8mb4 x'6127293b2044524f50205441424c4520743b202d2d'))"
    )


def test_no_number_is_refused_as_a_key():
    with pytest.raises(ValueError, match="no number"):
        KEYED.among([("1", "2", "3 OR TRUE")])


@pytest.mark.parametrize(
    ("meta", "askable"),
    [
        (A, True),
        (TEXT, True),
        (ColumnMeta("v", "decimal", "decimal(5,2)", precision=5, scale=2), True),
        (ColumnMeta("v", "datetime", "datetime(6)", fsp=6), False),
        (ColumnMeta("v", "varbinary", "varbinary(8)", length=8), False),
    ],
)
def test_only_keys_that_both_servers_write_alike_are_asked_for(meta: ColumnMeta, *, askable: bool):
    assert table(meta, key=(meta.name,)).askable == askable


def test_a_table_without_a_key_has_no_ids_to_ask_for():
    assert not table(A).askable


COLUMNS = {
    "int": (A, st.integers(-(2**31), 2**31 - 1).map(lambda n: b"%d" % n)),
    "decimal": (
        ColumnMeta("v", "decimal", "decimal(30,2)", precision=30, scale=2),
        st.decimals(-(10**20), 10**20, places=2).map(lambda d: f"{d:.2f}".replace("-0.00", "0.00").encode()),
    ),
    "bigint unsigned": (
        ColumnMeta("v", "bigint", "bigint unsigned", unsigned=True),
        st.integers(0, 2**64 - 1).map(lambda n: b"%d" % n),
    ),
    "varchar": (TEXT, st.text(st.characters(exclude_categories=("Cs",)), max_size=20).map(str.encode)),
    "latin1": (ColumnMeta("v", "text", "text", charset="latin1"), st.binary(max_size=9)),
    "json": (ColumnMeta("v", "json", "json"), st.just(b'{"a": "\\\\ \\n"}')),
    "date": (
        ColumnMeta("v", "date", "date"),
        st.dates().map(lambda d: d.isoformat().encode()) | st.just(b"0000-00-00"),
    ),
    "varbinary": (ColumnMeta("v", "varbinary", "varbinary(9)", length=9), st.binary(max_size=9)),
}


@pytest.mark.parametrize("kind", COLUMNS)
@given(data=st.data())
def test_values_are_written_as_capture_and_apply_write_them(kind: str, data: st.DataObject):
    meta, values = COLUMNS[kind]
    value = data.draw(values)
    from capture.sources.mysql.row_images.forms import UnreadableValue, selected

    form = selected(meta)
    try:
        source_form = form(value) if form else value
    except UnreadableValue:
        return
    travels = converter(types.column(meta))(source_form)
    written = escape(travels.encode()) if isinstance(travels, Verbatim) else renderer(types.column(meta).type)(travels)

    assert table(meta).line()([value]) == [written]
    assert table(meta).line()([None]) == [None]
