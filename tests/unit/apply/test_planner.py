from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apply.errors import Blocked
from apply.planner import plan
from apply.steps import Delete, Erase, Insert, KeyUpdate, Patch, Plan, Truncate, Upsert
from schemas.block import UNSENT, Op, Origin
from schemas.errors import ContractError
from tests.unit.apply.histories import Event, History, histories, received, row_by_row, table


class Target:
    """A table with a unique key that runs steps the way SQL does, and refuses what SQL would refuse."""

    def __init__(self, rows: list[tuple], *, key: bool = True) -> None:
        self.key = key
        self.rows = Counter(rows)
        self.missed = 0

    def find(self, key: bytes) -> tuple | None:
        return next((row for row in self.rows.elements() if row[0] == key), None)

    def remove(self, key: bytes) -> tuple | None:
        row = self.find(key)
        if row is not None:
            self.rows -= Counter([row])
        return row

    def add(self, row: tuple) -> None:
        if self.key:
            assert self.find(row[0]) is None, "duplicate key"
        self.rows[row] += 1

    def run(self, planned: Plan) -> None:
        self.missed += planned.missing
        for step in planned.steps:
            getattr(self, type(step).__name__.lower())(step)

    def truncate(self, _: Truncate) -> None:
        self.rows.clear()

    def delete(self, step: Delete) -> None:
        for key in step.keys:
            self.remove(*key)

    def upsert(self, step: Upsert) -> None:
        assert len({row[0] for row in step.rows}) == len(step.rows)
        for row in step.rows:
            self.remove(row[0])
            self.add(row)

    def patch(self, step: Patch) -> None:
        self.put_back(self.lift(step))

    def keyupdate(self, step: KeyUpdate) -> None:
        if step.crossing:
            self.put_back([row for patch in step.patches for row in self.lift(patch)])
        else:
            for patch in step.patches:
                for key, values in zip(patch.keys, patch.values, strict=True):
                    self.put_back(self.lift(Patch(patch.columns, [key], [values])))

    def lift(self, step: Patch) -> list[tuple]:
        out = []
        for key, values in zip(step.keys, step.values, strict=True):
            row = self.remove(*key)
            if row is None:
                self.missed += 1
                continue
            new = dict(zip(step.columns, values, strict=True))
            out.append(tuple(new.get(i, old) for i, old in enumerate(row)))
        return out

    def put_back(self, rows: list[tuple]) -> None:
        for row in rows:
            self.add(row)

    def insert(self, step: Insert) -> None:
        self.rows.update(step.rows)

    def erase(self, step: Erase) -> None:
        for row, count in zip(step.rows, step.counts, strict=True):
            assert self.rows[row] >= count
            self.rows[row] -= count
        self.rows = +self.rows


def cut(data: st.DataObject, history: History, *, anywhere: bool) -> list[list[Event]]:
    places = [i + 1 for i, e in enumerate(history.events) if e.last or anywhere]
    chosen = sorted(data.draw(st.sets(st.sampled_from(places)))) if places else []
    edges = [0, *chosen, len(history.events)]
    return [history.events[a:b] for a, b in itertools.pairwise(edges) if a < b]


def apply_in_batches(history: History, batches: list[list[Event]]) -> Target:
    target = Target(history.start, key=not history.table.keyless)
    for events in batches:
        half = len(events) // 2
        parts = [received(history.table, part) for part in (events[:half], events[half:]) if part]
        target.run(plan(parts))
    return target


@settings(max_examples=150)
@given(histories(), st.data())
def test_any_batches_of_a_history_leave_the_source_rows_in_the_target(history: History, data: st.DataObject) -> None:
    target = apply_in_batches(history, cut(data, history, anywhere=True))

    assert target.rows == Counter(history.end) == row_by_row(history.start, history.events)
    assert target.missed == 0


@settings(max_examples=120)
@given(histories(full=True), st.data())
def test_whole_old_rows_change_nothing_about_the_result(history: History, data: st.DataObject) -> None:
    target = apply_in_batches(history, cut(data, history, anywhere=True))

    assert target.rows == Counter(history.end)


@settings(max_examples=150)
@given(histories(full=True, deferred=True), st.data())
def test_two_rows_may_share_a_deferred_key_until_their_transaction_ends(history: History, data: st.DataObject) -> None:
    target = apply_in_batches(history, cut(data, history, anywhere=False))

    assert target.rows == Counter(history.end)


@settings(max_examples=120)
@given(histories(full=True, deferred=True), st.data())
def test_a_shared_key_in_an_unfinished_transaction_is_never_passed_over(history: History, data: st.DataObject) -> None:
    """Cut in the middle of transactions: right, or refused."""
    target = Target(history.start)
    for events in cut(data, history, anywhere=True):
        try:
            planned = plan([received(history.table, events)])
        except Blocked:
            return
        if any(target.find(*key) for key in planned.crowded):
            return
        target.run(planned)

    assert target.rows == Counter(history.end)


@settings(max_examples=120)
@given(histories(key=False, full=True), st.data())
def test_without_a_key_equal_rows_keep_their_number(history: History, data: st.DataObject) -> None:
    target = apply_in_batches(history, cut(data, history, anywhere=True))

    assert target.rows == Counter(history.end)


@settings(max_examples=120)
@given(histories(), st.sets(st.integers(0, 4)), st.data())
def test_a_target_that_lacks_rows_gets_what_the_events_one_by_one_give_it(
    history: History, lost: set[int], data: st.DataObject
) -> None:
    """While a table loads, parts of rows that are not there yet pass, in the plan as in the plain reading."""
    history.start = [row for row in history.start if int(row[0]) not in lost]

    target = apply_in_batches(history, cut(data, history, anywhere=True))

    assert target.rows == row_by_row(history.start, history.events)


def steps(*events: Event, key: bool = True, full: bool = False) -> list:
    return plan([received(table(key=key, full=full), list(events))]).steps


def test_inserts_of_new_keys_are_one_upsert_in_topic_order() -> None:
    rows = [(b"9", b"a", b"A"), (b"1", b"b", None)]

    assert steps(*(Event(Op.READ, None, row) for row in rows)) == [Upsert(rows, created=True)]


def test_a_row_made_and_changed_in_one_batch_is_written_once() -> None:
    planned = steps(
        Event(Op.CREATE, None, (b"1", b"a", b"A")),
        Event(Op.UPDATE, None, (b"1", b"b", UNSENT)),
        Event(Op.DELETE, (b"1", UNSENT, UNSENT), None, key_change=True),
        Event(Op.CREATE, (b"1", UNSENT, UNSENT), (b"2", b"c", UNSENT), key_change=True),
    )

    assert planned == [Delete([(b"1",)]), Upsert([(b"2", b"c", b"A")], created=False)]


def test_only_the_columns_sent_are_patched() -> None:
    planned = steps(Event(Op.UPDATE, None, (b"1", b"b", UNSENT)), Event(Op.UPDATE, None, (b"1", None, UNSENT)))

    assert planned == [Patch((1,), [(b"1",)], [(None,)])]


def test_a_swap_of_keys_with_unsent_columns_lifts_the_rows_out() -> None:
    def move(old: bytes, new: bytes, value: bytes) -> list[Event]:
        return [
            Event(Op.DELETE, (old, UNSENT, UNSENT), None, key_change=True),
            Event(Op.CREATE, (old, UNSENT, UNSENT), (new, value, UNSENT), key_change=True),
        ]

    planned = steps(*move(b"1", b"-1", b"x"), *move(b"2", b"1", b"y"), *move(b"-1", b"2", b"z"))

    patch = Patch((0, 1), [(b"1",), (b"2",)], [(b"2", b"z"), (b"1", b"y")])
    assert planned == [KeyUpdate((patch,), crossing=True)]


def test_of_two_rows_at_a_deferrable_key_the_one_that_the_old_image_shows_goes() -> None:
    planned = steps(
        Event(Op.CREATE, None, (b"1", b"new", None)), Event(Op.DELETE, (b"1", b"old", None), None, last=True), full=True
    )

    assert planned == [Upsert([(b"1", b"new", None)], created=False)]


def test_after_a_transaction_a_key_has_one_row_again() -> None:
    planned = steps(
        Event(Op.CREATE, None, (b"1", b"new", None), last=True),
        Event(Op.UPDATE, (b"1", b"?", None), (b"1", b"newer", None), last=True),
        Event(Op.DELETE, (b"1", b"?", None), None, last=True),
        Event(Op.UPDATE, (b"2", b"?", None), (b"2", b"2", None), last=True),
        full=True,
    )

    assert planned == [Delete([(b"1",)]), Upsert([(b"2", b"2", None)], created=False)]


def test_a_key_that_a_row_passed_through_is_cleared() -> None:
    planned = steps(
        Event(Op.DELETE, (b"1", UNSENT, UNSENT), None, key_change=True),
        Event(Op.CREATE, (b"1", UNSENT, UNSENT), (b"2", b"a", b"A"), key_change=True),
        Event(Op.DELETE, (b"2", UNSENT, UNSENT), None, last=True),
    )

    assert planned == [Delete([(b"1",), (b"2",)])]


def test_what_stood_before_a_truncate_is_not_planned() -> None:
    planned = steps(
        Event(Op.CREATE, None, (b"1", b"a", b"A")),
        Event(Op.TRUNCATE, None, None, origin=Origin.OPENING),
        Event(Op.TRUNCATE, None, None),
        Event(Op.READ, None, (b"2", b"b", b"B")),
    )

    assert planned == [Truncate(opening=True), Upsert([(b"2", b"b", b"B")], created=True)]


def test_nothing_is_deleted_from_a_table_that_was_just_emptied() -> None:
    planned = steps(Event(Op.TRUNCATE, None, None), Event(Op.DELETE, (b"1", UNSENT, UNSENT), None, last=True))

    assert planned == [Truncate(opening=False)]


def test_part_of_a_row_that_a_truncate_removed_counts_as_missing() -> None:
    planned = plan([received(table(), [Event(Op.TRUNCATE, None, None), Event(Op.UPDATE, None, (b"1", b"b", UNSENT))])])

    assert planned == Plan([Truncate(opening=False)], missing=1)


def test_equal_rows_of_a_keyless_table_cancel_out() -> None:
    row, other = (b"1", b"a", None), (b"2", b"b", None)

    planned = steps(
        Event(Op.CREATE, None, row), Event(Op.DELETE, row, None), Event(Op.UPDATE, other, row), key=False, full=True
    )

    assert planned == [Erase([other], [1]), Insert([row])]


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (Event(Op.CREATE, None, (b"1", UNSENT, b"A")), True),
        (Event(Op.DELETE, (UNSENT, UNSENT, UNSENT), None), True),
        (Event(Op.DELETE, None, None), True),
        (Event(Op.UPDATE, (None, b"a", UNSENT), (None, b"b", UNSENT)), False),
    ],
)
def test_an_event_without_what_its_table_needs_is_refused(event: Event, key: bool) -> None:
    with pytest.raises(ContractError):
        steps(event, key=key)
