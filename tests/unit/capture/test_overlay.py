"""Unseen events laid over a chunk leave the rows that the stream left; keys of patches are listed until a row is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from capture.snapshot.overlay import Overlay, merged
from capture.snapshot.track import Change, Todo
from schemas.block import UNSENT, Op, Row
from schemas.table import Column, Kind, TableSchema, ValueType

if TYPE_CHECKING:
    from capture.snapshot.track import Key

TEXT = ValueType(Kind.STRING)
TABLE = TableSchema("s", "t", (Column("k", TEXT, key_position=1), Column("v", TEXT), Column("big", TEXT)))

Rows = dict["Key", Row]


def row(key: str, value: str, *, whole: bool = True) -> Row:
    return (key.encode(), value.encode(), b"long" if whole else UNSENT)


def patch(old: str, new: str, value: str) -> Change:
    return Change(TABLE, Op.UPDATE, (old,), (new,), row(new, value, whole=False))


def laid_over(chunk: Rows, unseen: list[Change]) -> Rows:
    """Return the rows of a chunk as they are published."""
    overlay = Overlay(unseen)
    published = [out for key, image in chunk.items() if (out := overlay.row(key, image)) is not None]
    found = {(str(out[0], "ascii"),): out for out in published}
    assert len(found) == len(published), "two rows of one key"
    return found


def left_by(chunk: Rows, unseen: list[Change]) -> Rows:
    """Return what the events, one after another, make of a chunk's rows; rows that come whole are the stream's."""
    rows = dict(chunk)
    for change in unseen:
        if change.op is Op.TRUNCATE:
            rows.clear()
            continue
        standing = rows.pop(change.old, None) if change.old is not None else None
        if change.new is not None:
            rows.pop(change.new, None)
            if change.partial is not None and standing is not None:
                rows[change.new] = merged(standing, change.partial)
    return rows


KEYS = st.sampled_from("abcd")
STEPS = st.tuples(st.sampled_from(["insert", "whole", "patch", "delete", "truncate"]), KEYS, KEYS)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Rows, list[Change]]:
    """Draw the rows that a chunk saw, and changes that a table with these rows can have had after it."""
    chunk = {(key,): row(key, "seen") for key in draw(st.sets(KEYS))}
    there, changes = {key for (key,) in chunk}, list[Change]()
    for number, (what, old, new) in enumerate(draw(st.lists(STEPS, max_size=12))):
        if what == "truncate":
            changes.append(Change(TABLE, Op.TRUNCATE, None, None, None))
            there.clear()
        elif what == "insert" and new not in there:
            changes.append(Change(TABLE, Op.CREATE, None, (new,), None))
            there.add(new)
        elif what == "delete" and old in there:
            changes.append(Change(TABLE, Op.DELETE, (old,), None, None))
            there.remove(old)
        elif what in ("whole", "patch") and old in there and (new == old or new not in there):
            whole = Change(TABLE, Op.UPDATE, (old,), (new,), None)
            changes.append(whole if what == "whole" else patch(old, new, str(number)))
            there = there - {old} | {new}
    return chunk, changes


@given(histories())
def test_a_chunk_is_published_as_its_unseen_events_left_it(history: tuple[Rows, list[Change]]) -> None:
    chunk, unseen = history
    assert laid_over(chunk, unseen) == left_by(chunk, unseen)


def test_a_patch_is_laid_over_the_row_that_the_chunk_saw() -> None:
    published = laid_over({("a",): row("a", "seen")}, [patch("a", "a", "1"), patch("a", "b", "2")])
    assert published == {("b",): (b"b", b"2", b"long")}


def test_a_patched_key_is_listed_until_its_row_is_published_whole() -> None:
    todo = Todo()
    todo.see(patch("a", "b", "1"), rows_in=False)
    assert todo.keys == {("b",)}
    todo.see(Change(TABLE, Op.UPDATE, ("b",), ("b",), None), rows_in=False)
    assert todo.keys == set()


def test_once_every_chunk_is_in_only_patches_of_listed_rows_are_listed() -> None:
    todo = Todo((("a",),))
    todo.see(patch("a", "b", "1"), rows_in=True)
    todo.see(patch("c", "d", "1"), rows_in=True)
    assert todo.keys == {("b",)}
