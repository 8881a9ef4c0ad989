"""The loop saves beside its turns: it waits for the brokers only when they take longer than until the next save."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from capture.loop import Loop
from capture.source import Batch

INTERVAL_S = 0.2


class Run:
    """Everything that a loop drives; what it is asked for is kept in order. The test says what the brokers did."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.now = 100.0
        self.acknowledged = self.durable = False
        self.rests: list[bool] = []  # whether the stream stands between transactions, turn by turn; then it does
        self.dirty = True
        self.publisher, self.source, self.engine = self, self, self
        self.busy = False
        self.settings = SimpleNamespace(save_interval_ms=INTERVAL_S * 1000, batch_wait_ms=100, batch_rows=10)

    def read(self, max_wait_s: float) -> Batch:
        self.calls.append(f"read {max_wait_s:g}")
        self.now += 0.001
        return Batch([], None, {"lsn": 1}, between=self.rests.pop(0) if self.rests else True, lost={})

    def delivered(self) -> bool:
        return self.acknowledged

    def is_saved(self) -> bool:
        return self.durable

    def flush(self) -> None:
        self.calls.append("flush")

    def save(self) -> None:
        self.calls.append("save")

    def settle(self) -> dict[str, int]:
        self.calls.append("settle")
        return {"lsn": 1}

    def confirm(self, resume: dict[str, int]) -> None:
        self.calls.append(f"confirm {resume['lsn']}")

    def stopped(self) -> None:
        self.calls.append("stopped")

    def absorb(self, _batch: Batch) -> list[Any]:
        return []

    advance = housekeep = lambda self: []
    publish = lambda self, blocks: None  # noqa: E731


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def loop(run: Run) -> Loop:
    """Return a loop whose last save began just now, after its first turn."""
    made = Loop(run, now=lambda: run.now)  # type: ignore[arg-type]
    made.turn()
    made.began_at = run.now
    run.calls.clear()
    return made


def turns(loop: Loop, run: Run, later_s: float) -> list[str]:
    """Let time pass and return what the next turn did."""
    run.calls.clear()
    run.now += later_s
    loop.turn()
    return [*run.calls]


def test_nothing_is_saved_before_it_is_time_or_while_nothing_is_new(loop: Loop, run: Run) -> None:
    run.acknowledged = True
    assert turns(loop, run, INTERVAL_S * 0.9) == ["read 0.1"]
    run.dirty = False
    assert turns(loop, run, INTERVAL_S * 5) == ["read 0.1"]


def test_a_save_begins_once_all_is_acknowledged_and_the_source_hears_of_it_once_it_is_durable(
    loop: Loop, run: Run
) -> None:
    assert turns(loop, run, INTERVAL_S) == ["read 0.01"]
    run.acknowledged = True
    assert turns(loop, run, 0.01) == ["flush", "save", "read 0.01"]
    run.acknowledged = False
    assert turns(loop, run, 0.01) == ["read 0.01"]
    run.durable = True
    assert turns(loop, run, 0.01) == ["settle", "confirm 1", "read 0.1"]


def test_brokers_that_take_longer_than_until_the_next_save_are_waited_for(loop: Loop, run: Run) -> None:
    assert turns(loop, run, INTERVAL_S * 2) == ["flush", "save", "read 0.01"]
    assert turns(loop, run, INTERVAL_S * 1.9) == ["read 0.01"]
    assert turns(loop, run, INTERVAL_S * 0.2) == ["settle", "confirm 1", "read 0.1"]


def test_the_end_waits_for_the_save_under_way_and_for_one_more(loop: Loop, run: Run) -> None:
    run.acknowledged = True
    turns(loop, run, INTERVAL_S)
    run.calls.clear()
    loop.finish()
    assert run.calls == ["settle", "confirm 1", "flush", "save", "settle", "confirm 1", "stopped"]


def test_a_transaction_that_is_being_read_is_read_to_its_end_before_the_last_save(loop: Loop, run: Run) -> None:
    run.rests = [False, False, True, False]
    loop.turn()
    run.calls.clear()
    loop.finish()
    assert run.calls == ["read 0.1", "read 0.1", "flush", "save", "settle", "confirm 1", "stopped"]


def test_the_end_does_not_wait_long_for_the_end_of_a_transaction(loop: Loop, run: Run) -> None:
    run.acknowledged = run.durable = True
    run.rests = [False] * 100_000
    loop.turn()
    loop.finish()
    assert run.calls[-1] == "stopped"
    assert 0 < len(run.rests) < 99_000


def test_what_never_had_a_turn_is_not_saved(run: Run) -> None:
    Loop(run).finish()  # type: ignore[arg-type]
    assert run.calls == []
