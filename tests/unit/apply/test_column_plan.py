from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apply import column_plan
from apply.column_plan import plan_columns
from apply.column_rows import ColumnRows
from apply.copy_lines import copy_lines, selected
from apply.planner import plan
from apply.steps import Insert, Plan, Upsert
from schemas.block import UNSENT, Op
from schemas.columnar.block import columns
from schemas.columnar.received import ReceivedColumns
from schemas.errors import ContractError
from schemas.received import Received
from tests.unit.apply.histories import Event, histories, received, table

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module", params=[1, column_plan.WORTH_COPYING])
def _new_rows_worth_copying(request) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_plan, "WORTH_COPYING", request.param)
        yield


def plain(planned: Plan) -> Plan:
    """Return a plan with lists of rows in an order of their own."""
    steps = [
        replace(step, rows=sorted(step.rows, key=repr)) if isinstance(step, Upsert | Insert) else step
        for step in planned.steps
    ]
    return replace(planned, steps=steps)


def planned_row_by_row(batch: list[Received]) -> Plan | None:
    try:
        return plain(plan(batch))
    except ContractError:
        return None


def in_parts(history_table, events: list, cuts: list[int]) -> list[Received]:
    bounds = [0, *sorted(set(cuts)), len(events)]
    return [received(history_table, events[a:b], a) for a, b in pairwise(bounds) if a < b]


@pytest.mark.parametrize(("key", "full"), [(True, False), (True, True), (False, True)])
def test_what_is_planned_by_column_is_what_is_planned_row_by_row(key: bool, full: bool) -> None:
    @given(histories(key=key, full=full), st.lists(st.integers(0, 30), max_size=3))
    def check(history, cuts) -> None:
        events = history.events
        if not events:
            return
        batch = in_parts(history.table, events, [cut for cut in cuts if 0 < cut < len(events)])
        found = plan_columns([ReceivedColumns.of(one) for one in batch])
        if found is not None:
            assert plain(found) == planned_row_by_row(batch)

    check()


@given(histories(), st.data())
def test_whole_rows_and_deletes_are_always_planned_by_column(history, data) -> None:
    events = [e for e in history.events if not e.key_change and UNSENT not in (e.after or ())]
    if not events:
        return
    batch = in_parts(history.table, events, [])
    assert plain(plan_columns([ReceivedColumns.of(one) for one in batch])) == plain(plan(batch))
    mixed = [ReceivedColumns.of(one) if data.draw(st.booleans()) else one for one in batch]
    assert plain(plan_columns(mixed)) == plain(plan(batch))


def test_rows_held_by_column_make_the_lines_that_rows_make() -> None:
    history_rows = [(b"1", None, rb"a\\b"), (b"2", b"", None), (b"3", b"x" * 300, b"y")]
    held = received_rows(history_rows)
    assert list(held) == history_rows
    assert held.lines() == copy_lines(history_rows)
    assert list(held.selected([2, 0])) == selected(history_rows, [2, 0])
    assert held.selected([1]).lines() == copy_lines(selected(history_rows, [1]))


def test_rows_in_pieces_are_all_the_rows_in_order() -> None:
    one, other = received_rows([(b"1", b"a")]), received_rows([(b"2", None), (b"3", b"c")])
    both = ColumnRows(one.pieces + other.pieces)
    assert len(both) == 3
    assert both.lines() == b"1\ta\n2\t\\N\n3\tc\n"


def test_many_rows_make_the_same_lines_in_several_stretches() -> None:
    rows = [(b"%d" % i, None if i % 7 == 0 else b"n%d" % i, None if i % 3 else b"x") for i in range(8_000)]
    made = list(received_rows(rows).stretches())
    assert len(made) > 1
    assert all(stretch.endswith(b"\n") for stretch in made)
    assert b"".join(made) == copy_lines(rows)


def received_rows(rows: list[tuple]) -> ColumnRows:
    return ColumnRows((columns(rows).values,))


def test_slices_of_events_plan_like_the_events_themselves() -> None:

    events = [Event(Op.CREATE, None, (b"%d" % i, b"s", None), last=True) for i in range(9)]
    whole = ReceivedColumns.of(received(table(), events))
    part = whole.take(np.arange(2, 7))
    assert plain(plan_columns([part])) == plain(plan([received(table(), events[2:7])]))
