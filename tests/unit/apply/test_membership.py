"""What a member of the group has is read from the bytes in which the assignor hands it out."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apply.membership import held_by


def assignment(topics: dict[str, list[int]], rest: bytes = b"\xff\xff\xff\xff") -> bytes:
    parts = [struct.pack(">hi", 1, len(topics))]
    for name, numbers in topics.items():
        encoded = name.encode()
        parts += [struct.pack(">h", len(encoded)), encoded, struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)]
    return b"".join(parts) + rest


def test_a_member_without_an_assignment_has_nothing() -> None:
    assert held_by(b"") == set()


def test_an_assignment_that_is_cut_short_is_not_taken_for_a_smaller_one() -> None:
    whole = assignment({"a": [0, 1]}, b"")
    for length in range(1, len(whole)):
        with pytest.raises(struct.error):
            held_by(whole[:length])


TOPICS = st.dictionaries(
    st.text("abcdef.-_0123", min_size=1, max_size=20),
    st.lists(st.integers(0, 2**31 - 1), unique=True, max_size=5),
    max_size=6,
)


@given(TOPICS, st.binary(max_size=12))
def test_every_partition_of_every_topic_is_found(topics: dict[str, list[int]], rest: bytes) -> None:
    assert held_by(assignment(topics, rest)) == {(name, n) for name, numbers in topics.items() for n in numbers}
