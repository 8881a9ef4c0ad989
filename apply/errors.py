"""What ends the work on a batch, other than an error of the target's driver. No message holds a row value."""

from __future__ import annotations


class Blocked(Exception):
    """The table cannot be applied as it and the target stand; ``fix`` says what to do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


class Fenced(Exception):
    """Another owner has taken the partition over: nothing more may be written for it."""
