"""The order key compares as bytes as its parts compare as numbers, all four of them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.order import ORDER_KEY_BYTES, OrderKey

LONG = st.integers(0, 2**64 - 1)
KEYS = st.builds(OrderKey, st.integers(0, 2**32 - 1), LONG, LONG, LONG)


@given(KEYS, KEYS)
@example(OrderKey(1, 2, 3, 9), OrderKey(1, 2, 4, 0))
@example(OrderKey(1, 2, 0, 255), OrderKey(1, 2, 0, 256))
def test_packed_keys_compare_as_their_parts_do(one: OrderKey, other: OrderKey) -> None:
    assert (one.pack() < other.pack()) == (one < other)
    assert (one.pack() == other.pack()) == (one == other)


@given(KEYS)
def test_a_packed_key_comes_back(key: OrderKey) -> None:
    assert len(key.pack()) == ORDER_KEY_BYTES
    assert OrderKey.unpack(key.pack()) == key
