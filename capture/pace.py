"""How fast turns follow one another while rows come a few at a time."""

from __future__ import annotations

import time
from typing import Final

#: Turns of few rows begin no sooner after one another, in seconds. A turn costs the same whether it brings one row or
#: ten, here, at the brokers and at the target: without a pause, some thousand small transactions a second keep all of
#: them busy, and every hitch then grows into a queue.
PACE_S: Final = 0.005
#: So many rows are worth a turn of their own at once.
ENOUGH: Final = 300


class Pace:
    """Waits between turns. What comes after a pause of the source's own, however short, is not held up."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def wait(self) -> None:
        """Wait until the next turn may begin."""
        left_s = self._next_at - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)

    def note(self, rows: int) -> None:
        """A turn brought so many rows."""
        self._next_at = time.monotonic() + PACE_S if 0 < rows < ENOUGH else 0.0
