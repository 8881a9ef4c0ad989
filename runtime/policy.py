"""Trying again: exponential pauses with jitter, until it works, is refused for good, or a stop is requested."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Self, TypeVar

import structlog

from runtime.errors import Refused, Stopped, Unreachable
from runtime.settings import RetryConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.signals import Stop

T = TypeVar("T")

_DEFAULT = RetryConfig()

log = structlog.get_logger()


class Pause:
    """Pauses between tries, in seconds: each twice the one before, up to a longest, with jitter."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s, self._next_s = first_s, longest_s, first_s

    @classmethod
    def passing(cls, settings: RetryConfig) -> Self:
        """Return those for what passes by itself: lost against another transaction, or a server is away."""
        return cls(settings.first_ms / 1000, settings.longest_seconds)

    @classmethod
    def blocked(cls, settings: RetryConfig) -> Self:
        """Return those for what somebody must make room for or mend."""
        return cls(settings.blocked_seconds / 12, settings.blocked_seconds)

    def next(self) -> float:
        """Return how long to pause before the next try."""
        pause = self._next_s
        self._next_s = min(self._longest_s, pause * 2)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """Begin again with the shortest pause: something worked."""
        self._next_s = self._first_s


def passing(error: BaseException) -> bool:
    """Whether trying again may help by itself: a system does not answer (and did not say no)."""
    return isinstance(error, Unreachable) and not isinstance(error, Refused)


def retry(
    action: Callable[[], T],
    stop: Stop,
    settings: RetryConfig = _DEFAULT,
    *,
    retryable: Callable[[BaseException], bool] = passing,
    meanwhile: Callable[[], None] = lambda: None,
) -> T:
    """Return what ``action`` returns, calling it again while its error is ``retryable``.

    ``meanwhile`` is called before each pause. Raises Stopped as soon as a stop is requested, else the first error that
    is not retryable.
    """
    pauses = Pause.passing(settings)
    while True:
        try:
            return action()
        except Exception as error:
            if not retryable(error):
                raise
            if stop.requested:
                raise Stopped("a stop was requested while waiting for a system") from error
            pause_s = pauses.next()
            where = getattr(error, "where", "")
            log.warning("retrying", error=type(error).__name__, where=where, pause_s=round(pause_s, 2))
        meanwhile()
        stop.wait(pause_s)
