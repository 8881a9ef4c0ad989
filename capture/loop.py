"""The guarantee: read -> publish -> all acknowledged -> save the position -> confirm to the source, last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from capture import observe
from runtime.failpoints import hit

if TYPE_CHECKING:
    from capture.pace import Pace
    from capture.run import Run

#: Wait for the stream while chunks are being read, in seconds: short, so that they are published as they come in.
_BUSY_WAIT_S = 0.01


class Loop:
    """The turns of one run. Wherever one raises, nothing is lost: the next run begins at the saved position.

    ``pace`` holds turns apart that bring little.
    """

    def __init__(self, run: Run, pace: Pace | None = None) -> None:
        self._run, self._pace = run, pace
        self._saved_at = 0.0
        self._turned = False

    def turn(self) -> None:
        """Read what the stream has, publish it and what the snapshots can add, and save when it is time."""
        run, pace = self._run, self._pace
        if pace is not None:
            pace.wait()
        batch = run.read(_BUSY_WAIT_S if run.engine.busy else run.settings.batch_wait_ms / 1000)
        self._turned = True
        if pace is not None:
            pace.note(sum(map(len, batch.blocks)))
        hit("capture.batch_read")
        run.publish(run.engine.absorb(batch))
        if batch.between:
            run.publish(run.engine.advance())
            run.housekeep()
        if run.dirty and time.monotonic() - self._saved_at >= run.settings.save_interval_ms / 1000:
            self.save()

    def save(self) -> None:
        """Make everything read so far durable, then remember it, then let the source forget it."""
        run, began_at = self._run, time.monotonic()
        hit("capture.produced")
        run.publisher.flush()
        hit("capture.published")
        resume = run.save()
        hit("capture.saved")
        hit("capture.before_confirm")
        run.source.confirm(resume)
        hit("capture.confirmed")
        self._saved_at = time.monotonic()
        observe.saved(self._saved_at - began_at)

    def finish(self) -> None:
        """Save a last time, so that the next start publishes nothing again, and say that we stopped."""
        if self._turned:
            self.save()
            self._run.stopped()
