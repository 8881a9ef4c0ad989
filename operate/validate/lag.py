"""Waits until everything committed at the source so far is in the target, for one table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from operate.following import POLL_S
from operate.waiting import Ask, Verdict, Waiter

if TYPE_CHECKING:
    from capture.operations import Session
    from operate.following import Follower
    from runtime.config import CommandsConfig


class Lag:
    """The way from the source to the target of one table. :attr:`stuck` says why it cannot be waited for, if so.

    A pipeline in which nothing moves for as long as the settings say will not catch up while we wait. A daemon that is
    being restarted is back earlier.
    """

    def __init__(self, follower: Follower, source: Session, table: str, settings: CommandsConfig) -> None:
        self._follower, self._source, self._tables = follower, source, frozenset({table})
        self._settings = settings
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
        stopped = stream is not None and stream.state == "stopped"
        return self._settings.stopped_seconds if stopped else self._settings.patience_seconds


def _why(verdict: Verdict) -> str:
    return verdict.reason or "the pipeline does not move"
