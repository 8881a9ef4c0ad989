"""Waiting for what is to be seen of a pipeline: it ends when it is seen, or when there is no use in waiting."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from operate.applied import Applied, AppliedTable, Checkpoint
from operate.demo.errors import DemoFailed
from operate.demo.watch import Picture, Seen, Watch
from schemas.positions import Phase, Positions, TableRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLE, TOPIC = "public.planes", "nyc.public.planes"


@dataclass
class FakeEyes:
    """Sees a table whose checkpoint moves by ten at every look."""

    looks: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def look(self) -> Seen:
        self.looks += 1
        positions = Positions()
        positions.tables[TABLE] = TableRecord(1, TABLE, TOPIC, phase=Phase.STREAMING)
        state = AppliedTable(TABLE, TOPIC, "streaming", inserts=1, updates=2, deletes=3, snapshot_rows=4)
        checkpoint = Checkpoint(TOPIC, 0, "id", 10 * self.looks)
        return Seen(positions, {TOPIC: 99}, Applied({(TOPIC, 0): checkpoint}, {TABLE: state}), kafka=True, target=True)

    def close(self) -> None:
        self.closed.set()


@contextmanager
def _watch(vital: Callable[[], None] = lambda: None) -> Iterator[tuple[Watch, FakeEyes]]:
    eyes = FakeEyes()
    watch = Watch(eyes, {TABLE: 5, "public.unknown": 6}, lambda _: None, vital)
    try:
        yield watch, eyes
    finally:
        watch.close()


def test_a_picture_holds_what_both_daemons_say_of_each_table() -> None:
    with _watch() as (watch, _):
        picture = watch.until(lambda p: p.target, "a look", 30)

    row = picture.rows[TABLE]
    assert (row.total, row.messages, row.copied, row.inserts, row.updates, row.deletes) == (5, 99, 4, 1, 2, 3)
    assert (row.capture, row.apply, row.applied) == ("streaming", "streaming", 10)
    assert picture.rows["public.unknown"].apply == "pending"
    assert not picture.loaded


def test_waiting_ends_with_the_first_picture_that_fulfils_the_condition() -> None:
    with _watch() as (watch, _):
        assert watch.until(lambda p: p.next_offset >= 30, "three looks", 30).next_offset >= 30


def test_a_fresh_picture_is_taken_after_it_was_asked_for() -> None:
    with _watch() as (watch, eyes):
        before = eyes.looks
        assert watch.fresh().next_offset > 10 * before


def test_waiting_for_what_never_comes_fails_the_demo_with_its_name() -> None:
    with _watch() as (watch, _), pytest.raises(DemoFailed, match="not within 0 s: rain"):
        watch.until(lambda _: False, "rain", 0.0)


def test_waiting_ends_at_once_when_a_daemon_has_ended_by_itself() -> None:
    def vital() -> None:
        raise DemoFailed("apply ended by itself")

    with _watch(vital) as (watch, _), pytest.raises(DemoFailed, match="ended by itself"):
        watch.until(lambda _: False, "rain", 3600.0)


def test_the_rate_is_unknown_at_first_and_never_negative() -> None:
    assert Picture().rate == 0.0
    with _watch() as (watch, _):
        assert watch.until(lambda p: p.next_offset >= 20, "two looks", 30).rate == 0.0


def test_a_closed_watch_closes_its_eyes() -> None:
    with _watch() as (_, eyes):
        pass

    assert eyes.closed.is_set()
