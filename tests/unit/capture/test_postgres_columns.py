from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capture.sources.postgres import columns as subject
from capture.sources.postgres import copytext, pgoutput
from capture.sources.postgres.columns import Messages, copy_columns
from schemas.block import UNSENT, Row
from schemas.columnar.arrays import Unserved
from schemas.copy_text import escape
from tests.support.strategies import texts

values = (
    st.none()
    | texts.map(str.encode)
    | st.binary(max_size=8)
    | st.sampled_from([b"", b"\\", b"\\\\", b"\\N", b"N", b"\t\n", b"\\n", b"a" * 300])
)


def tables(cells: st.SearchStrategy) -> st.SearchStrategy[list[Row]]:
    return st.integers(1, 5).flatmap(lambda width: st.lists(st.tuples(*[cells] * width), min_size=1, max_size=6))


def lines(rows: list[Row]) -> bytes:
    return b"".join(b"\t".join(rb"\N" if cell is None else escape(cell) for cell in row) + b"\n" for row in rows)


@given(tables(values))
@example([(rb"\N",), (None,), (b"\\",)])
def test_copy_text_gives_the_values_that_went_into_it(rows: list[Row]) -> None:
    assert copy_columns(lines(rows), len(rows[0])).rows() == rows


@given(
    st.lists(st.sampled_from([b"\\", b"N", b"n", b"t", b"x", b"\t", b"\n", b"\\N", b"\\\\"]), max_size=20),
    st.integers(1, 3),
)
def test_whatever_is_read_of_copy_text_is_what_is_read_line_by_line(parts: list[bytes], width: int) -> None:
    data = b"".join(parts)
    try:
        found = copy_columns(data, width).rows()
    except Unserved:
        return
    assert found == list(copytext.parse(io.BytesIO(data)))


@pytest.mark.parametrize("data", [b"", b"a", b"a\tb\n", b"a\n\tb\n", b"a\nb", b"a\\\n"])
def test_lines_of_another_width_or_without_an_end_are_not_served(data: bytes) -> None:
    with pytest.raises(Unserved):
        copy_columns(data, 3 if data.startswith(b"a\n") else 1)


def test_lines_that_are_longer_than_what_is_looked_at_together_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_STRETCH", 7)
    rows = [(b"x" * i, None if i % 3 else b"\\" * i) for i in range(30)]
    assert copy_columns(lines(rows), 2).rows() == rows


def tuple_data(row: Row) -> bytes:
    cells = [
        b"n" if cell is None else b"u" if cell is UNSENT else b"t" + len(cell).to_bytes(4, "big") + cell for cell in row
    ]
    return len(row).to_bytes(2, "big") + b"".join(cells)


def insert(row: Row) -> bytes:
    return b"I\0\0\0\x07N" + tuple_data(row)


def read(messages: list[bytes], width: int) -> list[Row]:
    found = Messages(messages)
    every = np.arange(len(messages))
    tuples = found.tuples(every, found.starts + 6, width)
    found.finish(every, tuples.ends)
    return tuples.images.rows()


@given(tables(values | st.just(UNSENT)))
def test_tuples_give_the_values_that_went_into_them(rows: list[Row]) -> None:
    assert read([insert(row) for row in rows], len(rows[0])) == rows


@given(tables(values | st.just(UNSENT)))
def test_an_old_and_a_new_tuple_are_read_one_after_the_other(rows: list[Row]) -> None:
    width = len(rows[0])
    messages = Messages([b"U\0\0\0\x07O" + tuple_data(row) + b"N" + tuple_data(row[::-1]) for row in rows])
    every = np.arange(len(rows))
    old = messages.tuples(every, messages.starts + 6, width)
    messages.require(old.ends, ord("N"))
    new = messages.tuples(every, old.ends + 1, width)
    messages.finish(every, new.ends)
    assert (old.images.rows(), new.images.rows()) == (rows, [row[::-1] for row in rows])


@given(tables(values | st.just(UNSENT)), st.data())
def test_whatever_is_read_of_damaged_tuples_is_what_is_read_message_by_message(
    rows: list[Row], data: st.DataObject
) -> None:
    messages = [insert(row) for row in rows]
    place = data.draw(st.integers(0, len(messages) - 1))
    at = data.draw(st.integers(6, len(messages[place]) - 1))
    damaged = (
        messages[place][:at] + data.draw(st.binary(max_size=3)) + messages[place][at + data.draw(st.integers(0, 3)) :]
    )
    messages[place] = damaged
    try:
        found = read(messages, len(rows[0]))
    except Unserved:
        return
    assert found == [pgoutput.insert(message).new for message in messages]
