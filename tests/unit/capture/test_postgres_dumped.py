"""What is known of tables is written down anew only where it changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres.dumped import dumped

KNOWN = st.dictionaries(st.integers(0, 5), st.integers(0, 3))


@given(st.lists(KNOWN, max_size=6))
def test_the_document_says_what_is_known_whatever_was_known_before(steps: list[dict[int, int]]) -> None:
    before, written = dict[int, int](), dict[str, list[int]]()
    for now in steps:
        wrote: list[int] = []

        def write(one: int, wrote: list[int] = wrote) -> list[int]:
            wrote.append(one)
            return [one]

        written = dumped(now, before, written, write)
        assert written == {str(oid): [one] for oid, one in now.items()}
        assert wrote == [one for oid, one in now.items() if before.get(oid) != one]
        before = now
