"""How long a comparison waits for the pipeline: as long as it moves, and then as the settings say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capture.sources.postgres.operations import PostgresMark
from operate.validate import lag
from operate.validate.lag import Lag
from runtime.settings import CommandsConfig
from schemas.positions import Positions, StreamRecord

SETTINGS = CommandsConfig(patience_seconds=7, stopped_seconds=3)
STREAM = StreamRecord(
    run=1, source="s", incarnation=1, resume={"lsn": 0}, identity={}, reached={"lsn": 0}, control_offset=0,
    state="running",
)  # fmt: skip


class Behind:
    """A pipeline in which capture is behind, its source, and the time; ``moves``: bytes that it reads in each pause."""

    patience_s = SETTINGS.patience_seconds

    def __init__(self, state: str = "running", moves: int = 0) -> None:
        self.now, self.read, self.stop_after = 0.0, 0, 10.0
        self._state, self._moves = state, moves

    def positions(self) -> Positions:
        return Positions(1, replace(STREAM, state=self._state, resume={"lsn": self.read}), {})

    def applied(self):
        return type("Applied", (), {"tables": {}, "checkpoints": {}})()

    def clock(self) -> float:
        return self.now

    def mark(self) -> PostgresMark:
        return PostgresMark(1_000_000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now < self.stop_after:
            self.read += self._moves


def waited(world: Behind, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(lag, "time", world)
    one = Lag(world, world, "public.t", SETTINGS)
    assert not one.catch_up()
    assert one.stuck is not None
    return world.now


def test_a_pipeline_that_stands_still_is_waited_for_until_patience_ends(monkeypatch):
    assert waited(Behind(), monkeypatch) == pytest.approx(SETTINGS.patience_seconds, abs=0.3)


def test_a_capture_that_was_stopped_is_waited_for_less(monkeypatch):
    assert waited(Behind(state="stopped"), monkeypatch) == pytest.approx(SETTINGS.stopped_seconds, abs=0.3)


def test_a_pipeline_that_moves_is_waited_for_longer(monkeypatch):
    world = Behind(moves=1)
    assert waited(world, monkeypatch) == pytest.approx(world.stop_after + SETTINGS.patience_seconds, abs=0.3)
