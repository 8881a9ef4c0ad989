"""COPY text of one value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.copy_text import escape

UNESCAPED = {b"\\b": b"\b", b"\\t": b"\t", b"\\n": b"\n", b"\\v": b"\v", b"\\f": b"\f", b"\\r": b"\r", b"\\\\": b"\\"}


@given(st.text().map(str.encode) | st.lists(st.sampled_from([b"\\", b"N", b"\t", b"\n", b"\r", b"\x0b"])).map(b"".join))
def test_escaped_text_has_no_delimiter_and_comes_back(text):
    escaped = escape(text)
    assert not set(escaped) & set(b"\b\t\n\v\f\r")
    assert escaped != rb"\N"
    parts, at = [], 0
    while at < len(escaped):
        pair = escaped[at : at + 2]
        parts.append(UNESCAPED.get(pair, escaped[at : at + 1]))
        at += 2 if pair in UNESCAPED else 1
    assert b"".join(parts) == text
