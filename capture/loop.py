"""The guarantee: read -> publish -> all acknowledged -> save the position -> confirm to the source, last.

Nobody stands still for it: a save is begun when all that was handed over is acknowledged, and the source is told in the
turn that finds the position durable. The brokers are waited for only when they take longer than until the next save.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from capture import observe
from runtime.failpoints import hit

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.pace import Pace
    from capture.run import Run

#: Wait for the stream while chunks are being read or a save is due, in seconds: short, so that both go on.
_BUSY_WAIT_S = 0.01
#: Longest that the end waits for the end of a transaction that is being read, in seconds: its first rows would be
#: published again. A transaction that takes longer begins anew at the next start.
_FINISH_S = 5.0


class Loop:
    """The turns of one run. Wherever one raises, nothing is lost: the next run begins at the saved position.

    ``pace`` holds turns apart that bring little. ``began_at`` is when the last save began, by the clock ``now``.
    """

    def __init__(self, run: Run, pace: Pace | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._run, self._pace, self._now = run, pace, now
        self.began_at = 0.0
        self._saving = False
        self._turned, self._between = False, True

    def turn(self) -> None:
        """Read what the stream has, publish it and what the snapshots can add, and go on with saving."""
        run, pace = self._run, self._pace
        if pace is not None:
            pace.wait()
        saves = self._look_after_saves()
        batch = run.read(_BUSY_WAIT_S if saves or run.engine.busy else run.settings.batch_wait_ms / 1000)
        self._turned, self._between = True, batch.between
        if pace is not None:
            pace.note(sum(map(len, batch.blocks)))
        hit("capture.batch_read")
        run.publish(run.engine.absorb(batch))
        if batch.between:
            run.publish(run.engine.advance())
            run.housekeep()

    def save(self) -> None:
        """Make everything read so far durable, then remember it, then let the source forget it."""
        if self._saving:
            self._conclude()
        self._begin()
        self._conclude()

    def finish(self) -> None:
        """Save a last time, so that the next start publishes nothing again, and say that we stopped.

        A transaction that is being read is read to its end before, if it has one soon.
        """
        deadline = self._now() + _FINISH_S
        while not self._between and self._now() < deadline:
            self.turn()
        if self._turned:
            self.save()
            self._run.stopped()

    def _look_after_saves(self) -> bool:
        """Begin a save when it is time, or conclude the one under way; return whether either is still to come."""
        run = self._run
        interval_s, age_s = run.settings.save_interval_ms / 1000, self._now() - self.began_at
        overdue = age_s >= 2 * interval_s
        if self._saving:
            if overdue or run.is_saved():
                self._conclude()
        elif self._turned and age_s >= interval_s and run.dirty:
            if not overdue and not run.publisher.delivered():
                return True
            self._begin()
        return self._saving

    def _begin(self) -> None:
        """Hand the position over, once all that it speaks of is acknowledged."""
        run, self.began_at = self._run, self._now()
        hit("capture.produced")
        run.publisher.flush()
        hit("capture.published")
        run.save()
        self._saving = True

    def _conclude(self) -> None:
        """Let the source forget what the position speaks of, once that is durable."""
        run = self._run
        resume = run.settle()
        hit("capture.saved")
        hit("capture.before_confirm")
        run.source.confirm(resume)
        hit("capture.confirmed")
        self._saving = False
        observe.saved(self._now() - self.began_at)
