"""How two tables are compared, judging by their catalogs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operate.validate.shape import Column, Incompatible, Shape, plan

INT, TEXT, ENUM = ("pg_catalog", "int4"), ("pg_catalog", "text"), ("public", "mood")


def shape(*columns: Column, **fields) -> Shape:
    given = {"keys": (("id",),), "rows": 10}
    return Shape("public", "t", columns or (Column("id", INT), Column("v", TEXT)), **(given | fields))


def planned(source: Shape, target: Shape | None = None, *, keyless: bool = False, same_hash: bool = True):
    return plan(source, target or source, keyless=keyless, same_hash=same_hash)


def test_a_key_that_sorts_alike_is_walked_in_ranges():
    found = planned(shape())

    assert (found.key, found.ranged, found.columns) == (("id",), True, ("id", "v"))


@pytest.mark.parametrize(
    ("ours", "theirs", "ranged"),
    [
        (Column("id", TEXT, bytewise=True), Column("id", TEXT, bytewise=True), True),
        (Column("id", TEXT, bytewise=False), Column("id", TEXT, bytewise=True), False),
        (Column("id", TEXT, bytewise=True), Column("id", TEXT, bytewise=False), False),
        (Column("id", INT), Column("id", ("pg_catalog", "int8")), False),
        (Column("id", ENUM), Column("id", ENUM), False),
        (Column("id", ENUM), Column("id", TEXT), False),
        (Column("id", ("public", "int4")), Column("id", ("public", "int4")), False),
    ],
)
def test_a_key_that_may_sort_otherwise_is_compared_by_buckets(ours, theirs, ranged):
    assert planned(shape(ours), shape(theirs)).ranged == ranged


def test_text_in_another_encoding_sorts_otherwise_and_hashes_otherwise():
    key = Column("id", TEXT)

    found = planned(shape(key, utf8=False), shape(key))

    assert (found.ranged, found.portable) == (False, True)


def test_servers_that_hash_otherwise_use_md5():
    assert planned(shape(), same_hash=False).portable
    assert not planned(shape()).portable


def test_a_target_without_the_key_is_not_searched_range_by_range():
    assert not planned(shape(), shape(keys=())).ranged
    assert planned(shape(), shape(keys=(("v",), ("id",)))).ranged


def test_a_table_whose_events_carry_no_key_is_compared_by_its_rows():
    assert planned(shape(), keyless=True).key == ()
    assert planned(shape(keys=())).key == ()


def test_missing_columns_are_named_and_extra_ones_do_not_count():
    source = shape()
    assert planned(source, shape(*source.columns, Column("own", INT))).columns == ("id", "v")

    with pytest.raises(Incompatible, match="the target has no column v"):
        planned(source, replace(source, columns=source.columns[:1]))


@pytest.mark.parametrize(("row_bytes", "rows"), [(0, 20_000), (100, 20_000), (65_536, 1_024), (2**30, 200)])
def test_ranges_of_wide_rows_hold_fewer(row_bytes, rows):
    assert planned(shape(row_bytes=row_bytes)).range_rows == rows


def test_columns_that_update_may_not_set_count_only_where_they_are_compared():
    target = shape(Column("id", INT), Column("v", TEXT), Column("own", INT, fixed=True))

    assert not planned(shape(), target).fixed
    assert planned(shape(), shape(Column("id", INT), Column("v", TEXT, fixed=True))).fixed
