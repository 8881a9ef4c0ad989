"""Waits until everything committed at the source so far is in the target, for one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from operate.following import POLL_S
from operate.waiting import Ask, Verdict, Waiter

if TYPE_CHECKING:
    from capture.operations import Session
    from operate.following import Follower

#: A pipeline in which nothing moves for so long, in seconds, will not catch up while we wait. A daemon that is being
#: restarted is back earlier. Where capture says that it was stopped, most likely nobody restarts it.
_PATIENCE_S: Final = 30.0
_STOPPED_PATIENCE_S: Final = 5.0


class Lag:
    """The way from the source to the target of one table. :attr:`stuck` says why it cannot be waited for, if so."""

    def __init__(self, follower: Follower, source: Session, table: str) -> None:
        self._follower, self._source, self._tables = follower, source, frozenset({table})
        self.stuck: str | None = None

    def catch_up(self) -> bool:
        """Wait for what is committed at the source now; whether it arrived.

        Once the way is stuck it stays so, and nothing is waited for any more. Raises Unreachable.
        """
        if self.stuck is not None:
            return False
        waiter = Waiter(self._follower, Ask(mark=self._source.mark(), tables=self._tables))
        moved, before = time.monotonic(), None
        while True:
            verdict = waiter.look()
            if verdict.done:
                return True
            if verdict.reason != before:
                moved, before = time.monotonic(), verdict.reason
            if verdict.failed or time.monotonic() - moved > self._patience():
                self.stuck = _why(verdict)
                return False
            time.sleep(POLL_S)

    def _patience(self) -> float:
        stream = self._follower.positions().stream
        return _STOPPED_PATIENCE_S if stream is not None and stream.state == "stopped" else _PATIENCE_S


def _why(verdict: Verdict) -> str:
    return verdict.reason or "the pipeline does not move"
