"""How fast turns of capture follow one another."""

from __future__ import annotations

import pytest

from capture import pace as module
from capture.pace import ENOUGH, PACE_S, Pace
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch):
    found = Clock(50.0)
    monkeypatch.setattr(module, "time", found)
    return found


def waited(clock, pace: Pace) -> float:
    began = clock.now
    pace.wait()
    return clock.now - began


@pytest.mark.parametrize("rows", [1, ENOUGH - 1])
def test_the_turn_after_one_with_few_rows_waits(clock, rows):
    pace = Pace()
    pace.note(rows)
    clock.now += 0.001
    assert waited(clock, pace) == pytest.approx(PACE_S - 0.001)


@pytest.mark.parametrize("rows", [0, ENOUGH, 10_000])
def test_the_turn_after_one_with_no_rows_or_many_does_not_wait(clock, rows):
    pace = Pace()
    pace.note(1)
    clock.now += 1
    pace.note(rows)
    assert waited(clock, pace) == 0.0


def test_what_comes_first_or_after_a_while_does_not_wait(clock):
    pace = Pace()
    assert waited(clock, pace) == 0.0
    pace.note(1)
    clock.now += PACE_S
    assert waited(clock, pace) == 0.0
