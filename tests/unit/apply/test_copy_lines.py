from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apply.copy_lines import copy_lines, counted, keyed, parameters, plain, selected
from schemas.copy_text import escape


@given(st.binary())
def test_a_parameter_is_the_text_that_copy_would_have_read(value: bytes) -> None:
    assert plain(escape(value)) == value


@given(st.lists(st.lists(st.none() | st.binary(), min_size=2, max_size=2)))
def test_lines_and_fields_can_be_told_apart_whatever_they_hold(rows: list[list[bytes | None]]) -> None:
    data = copy_lines([[None if v is None else escape(v) for v in row] for row in rows])

    lines = data.split(b"\n")[:-1] if data else []
    assert [[None if f == rb"\N" else plain(f) for f in line.split(b"\t")] for line in lines] == rows


def test_null_is_no_text() -> None:
    assert parameters((None, rb"\\N")) == [None, b"\\N"]
    assert copy_lines([(None, rb"\\N")]) == b"\\N\t\\\\N\n"


def test_rows_are_put_together_in_the_order_of_the_target() -> None:
    rows = [(b"a", b"b", None)]

    assert selected(rows, (0, 1, 2)) is rows
    assert selected(rows, (2, 0)) == [(None, b"a")]
    assert keyed([(b"k",)], rows) == [(b"k", b"a", b"b", None)]
    assert counted(rows, [12]) == [(b"12", b"a", b"b", None)]
    assert copy_lines([]) == b""
