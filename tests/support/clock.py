"""A clock that only pauses move, in place of the module ``time``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """``now`` in seconds; ``pauses`` counts what slept."""

    now: float = 0.0
    pauses: int = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses += 1
