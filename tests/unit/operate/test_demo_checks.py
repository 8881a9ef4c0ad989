"""The demo's own comparison, and its verdict."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.demo.checks import Equality, Reapplied, differences
from operate.demo.story import Outcome

LINES = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12)


@given(LINES, st.randoms(use_true_random=False))
def test_the_same_lines_in_any_order_do_not_differ(lines: list[bytes], random: object) -> None:
    shuffled = list(lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random

    assert differences(lines, shuffled) == 0


@given(LINES, LINES)
def test_differences_count_the_lines_to_add_and_to_remove(ours: list[bytes], theirs: list[bytes]) -> None:
    left, right = Counter(ours), Counter(theirs)

    assert differences(ours, theirs) == sum(abs(left[line] - right[line]) for line in left | right)


def _outcome(**changes: object) -> Outcome:
    good = {"equalities": [Equality("t", 3, 0)], "validated": True, "reapplied": Reapplied(0, 0, 0), "republished": 0}
    return Outcome(rows=3, **(good | changes))  # type: ignore[arg-type]  # a test's shorthand


def test_it_is_ok_when_every_proof_was_given() -> None:
    document = _outcome().document()

    assert document["ok"] is True
    assert (document["tables"], document["mismatches"], document["reapplied_after_restart"]) == (1, 0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"equalities": []},
        {"equalities": [Equality("t", 3, 0), Equality("u", 3, 1)]},
        {"validated": False},
        {"reapplied": None},
        {"reapplied": Reapplied(1, 0, 0)},
        {"reapplied": Reapplied(0, 1, 0)},
        {"reapplied": Reapplied(0, 0, 1)},
        {"republished": None},
        {"republished": 2},
        {"failure": "apply ended by itself"},
    ],
    ids=str,
)
def test_it_is_not_ok_when_one_proof_is_missing_or_fails(changes: dict[str, object]) -> None:
    assert _outcome(**changes).document()["ok"] is False


def test_what_was_not_found_out_is_null_and_not_zero() -> None:
    document = Outcome(failure="no broker").document()

    assert document["mismatches"] is None
    assert document["reapplied_after_restart"] is None
    assert document["reason"] == "no broker"
