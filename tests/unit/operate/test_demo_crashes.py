"""A crash counts when its victim died and came back to work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from operate.demo import crashes
from operate.demo.crashes import Part
from operate.demo.errors import DemoFailed
from operate.demo.watch import Picture

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class FakeWatch:
    """Shows one picture, and later another."""

    picture: Picture
    later: Picture

    def until(self, condition: Callable[[Picture], bool], what: str, _timeout_s: float) -> Picture:
        if condition(self.later):
            return self.later
        raise DemoFailed(what)


@dataclass
class Victim:
    """A part that dies when it is killed, unless it is immortal."""

    immortal: bool = False
    alive: bool = True
    told: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.told.append("kill")
        self.alive = self.immortal

    def start(self) -> None:
        self.told.append("start")

    def part(self) -> Part:
        def sign(before: Picture, now: Picture) -> str | None:
            return "it runs" if now.run > before.run else None

        return Part("victim", lambda: self.alive, self.kill, self.start, sign)


def _strike(victim: Victim, later: Picture) -> crashes.Crash:
    watch: Any = FakeWatch(Picture(run=1), later)
    return crashes.strike(victim.part(), "now", watch, lambda: victim.told.append("meanwhile"))


def test_a_crash_is_a_kill_an_absence_and_a_return_to_work() -> None:
    victim = Victim()

    crash = _strike(victim, Picture(run=2))

    assert victim.told == ["kill", "meanwhile", "start"]
    assert (crash.victim, crash.moment, crash.sign) == ("victim", "now", "it runs")


def test_a_victim_that_survives_sigkill_fails_the_demo() -> None:
    with pytest.raises(DemoFailed, match="lives on"):
        _strike(Victim(immortal=True), Picture(run=2))


def test_a_victim_that_does_no_work_after_its_return_fails_the_demo() -> None:
    with pytest.raises(DemoFailed, match="no progress"):
        _strike(Victim(), Picture(run=1))
