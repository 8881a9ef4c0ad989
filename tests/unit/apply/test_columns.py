from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apply.columns import column_renderer, escaped
from apply.types import renderer
from schemas.avro_defaults import decimal_bytes
from schemas.copy_text import escape
from schemas.table import Kind, ValueType
from tests.support import columnar, strategies

DAY_US = 86_400_000_000
TYPES = [
    ValueType(kind, scale=scale, length=11 if kind is Kind.BITS else None)
    for kind in Kind
    for scale in ((None, 0, 2, 18, 19, 60) if kind is Kind.DECIMAL else (None,))
]
#: Values at the edges of what kernels serve, beside those that the strategies find.
EDGES: dict[Kind, list] = {
    Kind.DATE: [-719_163, -719_162, 2_932_896, 2_932_897, 0, -1],
    Kind.MICRO_TIME: [0, 1, DAY_US - 1, DAY_US - 1_000_000],
    Kind.MICRO_TIMESTAMP: [-719_162 * DAY_US - 1, -719_162 * DAY_US, 2_932_897 * DAY_US - 1, 2_932_897 * DAY_US, -1, 0],
    Kind.DECIMAL: [b"", *map(decimal_bytes, (0, -1, 99, -99, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1))],
    Kind.STRING: ["", "\\", "\\N", "a\tb\nc\rd\be\ff\vg", "\x07\x0e", "ünï\\x"],
    Kind.VARIABLE_DECIMAL: [
        {"scale": s, "value": decimal_bytes(n)} for s in (0, 2, 18, 19, -3) for n in (0, -5, 12345)
    ],
}


@pytest.mark.parametrize("value_type", TYPES, ids=str)
def test_a_column_becomes_the_texts_that_its_values_become_one_by_one(value_type: ValueType) -> None:
    values = strategies._VALUES[value_type.kind](value_type)
    edges = EDGES.get(value_type.kind)
    render, expected = column_renderer(value_type), renderer(value_type)

    @given(st.lists(st.none() | values | (st.sampled_from(edges) if edges else values), max_size=12))
    @example([])
    @example([None])
    @example(edges or [])
    def check(found: list) -> None:
        texts = render(columnar.typed(value_type.kind, found)).to_pylist()
        assert texts == [None if value is None else expected(value) for value in found]

    check()


@given(
    st.lists(st.none() | st.binary(max_size=10) | st.sampled_from([b"\\", b"\t", b"\\N", b"x" * 50]), max_size=12),
    st.integers(0, 3),
)
def test_values_of_a_slice_are_escaped_in_their_own_places(texts: list[bytes | None], start: int) -> None:
    found = escaped(pa.array(texts, pa.binary()).slice(start)).to_pylist()
    assert found == [None if text is None else escape(text) for text in texts[start:]]
