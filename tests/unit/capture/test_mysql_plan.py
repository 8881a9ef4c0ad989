"""Ranges of a key: every row is in exactly one chunk."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.sources.mysql import plan
from capture.sources.mysql.bounds import distance
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.row_images.column_meta import ColumnMeta

A = ColumnMeta("a", "int", key_position=1)
B = ColumnMeta("b", "int", key_position=2)
C = ColumnMeta("c`", "int", key_position=3)


@given(
    rows=st.sets(st.tuples(*[st.integers(0, 4)] * 3), max_size=60),
    bounds=st.sets(st.tuples(*[st.integers(0, 4)] * 3), max_size=5),
    width=st.integers(1, 3),
)
@settings(max_examples=60)
def test_every_row_is_in_exactly_one_chunk_and_chunks_are_in_order(rows, bounds, width):
    key = [A, B, C][:width]
    cut = sorted({bound[:width] for bound in bounds})
    made, chunks = plan.made(key, [tuple(str(value).encode() for value in bound) for bound in cut])
    found = []
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a, b, `c```)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        for index in range(chunks):
            condition = plan.condition(made, index, [A, B, C][:width]) or "1"
            found.append(database.execute(f"SELECT * FROM t WHERE {condition}").fetchall())
    assert sorted(row for chunk in found for row in chunk) == sorted(rows)
    for chunk, (low, high) in zip(found, zip([None, *cut], [*cut, None], strict=True), strict=True):
        assert all((low is None or row[:width] >= low) and (high is None or row[:width] < high) for row in chunk)


@pytest.mark.parametrize("columns", [[A], [B, A], []])
def test_a_plan_dies_with_its_key(columns):
    made, _ = plan.made([A, B], [(b"1", b"2")])
    changed = [ColumnMeta(c.name, "int", key_position=i) for i, c in enumerate(columns, 1)]
    assert plan.condition(made, 0, changed) is None
    assert plan.condition(made, 0, [A, B]) is not None


def test_without_a_key_one_chunk_has_everything():
    made, chunks = plan.made([], [])
    assert (plan.condition(made, 0, [ColumnMeta("a", "int")]), chunks) == ("", 1)


def test_what_is_left_of_the_log_is_the_rest_of_its_file_and_all_files_behind():
    files = [("log.000009", 50), ("log.000010", 100), ("log.000011", 7)]
    assert distance(files, Place.of("log.000010", 30)) == 77
    assert distance(files, Place.of("log.000011", 7)) == 0
