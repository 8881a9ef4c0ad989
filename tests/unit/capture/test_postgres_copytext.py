"""COPY text comes back as the values that were copied."""

from __future__ import annotations

import io

from hypothesis import example, given
from hypothesis import strategies as st

from capture.sources.postgres import copytext
from schemas.copy_text import escape

#: Bytes that mean something to COPY are likelier than others.
values = st.none() | st.lists(st.sampled_from([b"\\", b"\t", b"\n", b"\r", b"N", b"t", b"x", b"a", b"\b"])).map(
    b"".join
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[values] * width), max_size=6))


def copied(rows):
    lines = [b"\t".join(rb"\N" if v is None else escape(v) for v in row) + b"\n" for row in rows]
    return io.BytesIO(b"".join(lines))


@given(rows=tables)
@example(rows=[(b"",), (rb"\N",), (None,), (b"\\",), (b"a\\\tb\n",)])
def test_rows_come_back_as_they_were_copied(rows):
    assert rows == list(copytext.parse(copied(rows)))


def test_an_empty_text_and_null_stay_apart():
    assert list(copytext.parse([b"\t\\N\n"])) == [(b"", None)]


def test_a_backslash_before_another_character_means_that_character():
    assert list(copytext.parse([b"a\\|b\n"])) == [(b"a|b",)]
