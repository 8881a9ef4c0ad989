"""What one reading of each side proves about a row, and what it does not."""

from __future__ import annotations

from operate.validate.compare import ABSENT, Entry, Finding, Seen, Sum, differing, suspects
from operate.validate.confirm import Doubts

ID = ("7",)
OLD, NEW = Sum(1, 10, 11), Sum(1, 20, 21)


def row(value: Sum, version: str) -> dict:
    return {ID: Seen(value, version)}


def doubts(*, unique: bool = True) -> Doubts:
    return Doubts.about([ID], unique=unique)


def a_round(doubt: Doubts, first: dict, target: dict, last: dict, *samples: dict, waited: bool = True) -> Doubts:
    doubt.begin(first)
    for sample in samples:
        doubt.sample(sample)
    doubt.end(target, last, waited=waited)
    return doubt


def test_a_row_that_arrived_is_in_order():
    settled = a_round(doubts(), row(NEW, "a"), row(NEW, "x"), row(NEW, "a"))

    assert (settled.pending, settled.findings) == ({}, [])


def test_a_target_that_shows_any_state_the_source_was_in_is_in_order():
    at_first = a_round(doubts(), row(OLD, "a"), row(OLD, "x"), row(NEW, "b"))
    at_last = a_round(doubts(), row(OLD, "a"), row(NEW, "x"), row(NEW, "b"))
    between = a_round(doubts(), row(OLD, "a"), row(NEW, "x"), row(OLD, "c"), row(NEW, "b"))
    gone = a_round(doubts(), row(OLD, "a"), {}, row(OLD, "c"), {})

    assert [d.pending for d in (at_first, at_last, between, gone)] == [{}, {}, {}, {}]
    assert not any(d.findings for d in (at_first, at_last, between, gone))


def test_a_row_that_nobody_wrote_meanwhile_must_be_the_same_in_the_target():
    different = a_round(doubts(), row(NEW, "a"), row(OLD, "x"), row(NEW, "a"))
    missing = a_round(doubts(), row(NEW, "a"), {}, row(NEW, "a"))

    assert different.findings == [Finding(ID, NEW, OLD)]
    assert missing.findings == [Finding(ID, NEW, ABSENT.sum)]


def test_a_row_written_back_to_what_it_was_proves_nothing():
    assert ID in a_round(doubts(), row(NEW, "a"), row(OLD, "x"), row(NEW, "b")).pending


def test_an_absent_row_may_have_come_and_gone_so_that_one_round_proves_nothing():
    once = a_round(doubts(), {}, row(OLD, "x"), {})
    assert ID in once.pending

    assert a_round(once, {}, row(OLD, "x"), {}).findings == [Finding(ID, ABSENT.sum, OLD)]


def test_an_absent_row_that_the_target_wrote_since_is_looked_at_again():
    once = a_round(doubts(), {}, row(OLD, "x"), {})

    assert ID in a_round(once, {}, row(OLD, "y"), {}).pending


def test_a_round_in_which_the_source_changed_is_no_first_round():
    moved = a_round(doubts(), row(NEW, "a"), row(OLD, "x"), {})

    assert ID in a_round(moved, {}, row(OLD, "x"), {}).pending


def test_without_a_unique_key_rows_beside_others_may_have_come_and_gone_too():
    two, three = Sum(2, 20, 22), Sum(3, 30, 33)
    once = a_round(doubts(unique=False), {ID: Seen(two, "a")}, {ID: Seen(three, "x")}, {ID: Seen(two, "a")})
    assert ID in once.pending

    again = a_round(once, {ID: Seen(two, "a")}, {ID: Seen(three, "x")}, {ID: Seen(two, "a")})

    assert again.findings == [Finding(ID, two, three)]


def test_when_nothing_can_be_waited_for_the_moment_counts():
    assert a_round(doubts(), {}, row(OLD, "x"), {}, waited=False).findings == [Finding(ID, ABSENT.sum, OLD)]
    assert a_round(doubts(), row(NEW, "a"), row(OLD, "x"), row(NEW, "b"), waited=False).findings


def test_a_finding_counts_rows_that_are_missing_extra_and_different():
    def counts(source: Sum, target: Sum) -> tuple[int, int, int]:
        finding = Finding(ID, source, target)
        return finding.missing, finding.extra, finding.different

    assert counts(Sum(3, 1, 1), Sum(1, 9, 9)) == (2, 0, 0)
    assert counts(Sum(1, 1, 1), Sum(3, 9, 9)) == (0, 2, 0)
    assert counts(OLD, NEW) == (0, 0, 1)


def test_buckets_that_differ_are_those_with_another_sum_or_on_one_side_only():
    assert differing({1: OLD, 2: OLD, 3: OLD}, {1: OLD, 2: NEW, 4: OLD}) == [2, 3, 4]


def test_two_ids_of_one_hash_are_told_apart():
    source = [Entry(5, ("a",), OLD), Entry(5, ("b",), NEW), Entry(6, ("c",), OLD)]
    target = [Entry(4, ("z",), OLD), Entry(5, ("b",), NEW), Entry(5, ("a",), NEW)]

    assert sorted(suspects(source, target)) == [("a",), ("c",), ("z",)]


def test_a_source_without_versions_proves_by_a_target_that_was_not_written_since():
    doubt = Doubts.about([ID], unique=True, versioned=False)
    a_round(doubt, row(NEW, "n"), row(OLD, "x"), row(NEW, "n"))
    assert ID in doubt.pending

    assert ID in a_round(doubt, row(NEW, "n"), row(OLD, "y"), row(NEW, "n")).pending
    assert a_round(doubt, row(NEW, "n"), row(OLD, "y"), row(NEW, "n")).findings == [Finding(ID, NEW, OLD)]


def test_a_row_that_is_absent_without_a_version_must_be_so_in_several_rounds():
    doubt = Doubts.about([ID], unique=True, versioned=False)
    for _ in range(3):
        a_round(doubt, row(NEW, "n"), {}, row(NEW, "n"))
        assert ID in doubt.pending

    assert a_round(doubt, row(NEW, "n"), {}, row(NEW, "n")).findings == [Finding(ID, NEW, ABSENT.sum)]
