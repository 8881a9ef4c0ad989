"""A plan covers every page of a table once, and is void when the table lies elsewhere."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres.plan import Leaf, cut, estimated_rows, range_of


@st.composite
def leaf_lists(draw):
    leaves = []
    for i in range(draw(st.integers(1, 4))):
        pages = draw(st.integers(0, 300))
        rows = draw(st.none() | st.integers(0, 10_000))
        size = pages * 8192 + draw(st.integers(0, 10_000_000))
        leaves.append(Leaf(100 + i, "public", f"t{i}", 200 + i, pages, size, rows))
    return leaves


@given(leaves=leaf_lists(), chunk_rows=st.integers(1, 5000), chunk_bytes=st.integers(1, 2**24))
def test_every_page_of_every_leaf_is_in_exactly_one_chunk_and_the_last_is_open(leaves, chunk_rows, chunk_bytes):
    plan, chunks = cut(leaves, whole=False, chunk_rows=chunk_rows, chunk_bytes=chunk_bytes)

    covered = {leaf.oid: 0 for leaf in leaves}
    for index in range(chunks):
        span = range_of(plan, index, leaves)
        assert span is not None
        assert span.leaf is not None
        assert span.first == covered[span.leaf.oid]
        covered[span.leaf.oid] = span.last
    assert set(covered.values()) == {None}
    assert range_of(plan, chunks, leaves) is None


def test_wide_rows_make_chunks_of_fewer_pages():
    narrow = Leaf(1, "s", "t", 1, 1000, 1000 * 8192, 1000)
    wide = replace(narrow, size=100 * narrow.size)

    assert (
        cut([wide], whole=False, chunk_rows=10**6, chunk_bytes=2**20)[1]
        > (cut([narrow], whole=False, chunk_rows=10**6, chunk_bytes=2**20)[1])
    )


def test_a_rewritten_leaf_voids_its_chunks_alone():
    leaves = [Leaf(1, "s", "a", 11, 1, 8192, 5), Leaf(2, "s", "b", 12, 1, 8192, 5)]
    plan, _ = cut(leaves, whole=False, chunk_rows=10, chunk_bytes=8192)
    now = [replace(leaves[0], filenode=99), leaves[1]]

    assert range_of(plan, 0, now) is None
    assert range_of(plan, 1, now) is not None


def test_another_set_of_partitions_voids_the_plan():
    leaves = [Leaf(1, "s", "a", 11, 1, 8192, 5)]
    plan, _ = cut(leaves, whole=False, chunk_rows=10, chunk_bytes=8192)

    assert range_of(plan, 0, [*leaves, Leaf(2, "s", "b", 12, 0, 0, None)]) is None


def test_a_table_without_a_key_is_one_chunk_that_nothing_voids():
    leaves = [Leaf(1, "s", "a", 11, 500, 500 * 8192, 5), Leaf(2, "s", "b", 12, 9, 9 * 8192, 5)]
    plan, chunks = cut(leaves, whole=True, chunk_rows=1, chunk_bytes=1)

    assert chunks == 1
    assert range_of(plan, 0, []) is not None


def test_rows_are_estimated_only_when_every_leaf_was_analyzed():
    leaf = Leaf(1, "s", "a", 11, 1, 8192, 5)

    assert estimated_rows([leaf, replace(leaf, rows=7)]) == 12
    assert estimated_rows([leaf, replace(leaf, rows=None)]) is None
