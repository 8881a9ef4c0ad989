"""Trying again: exponential pauses with jitter, until it works, is refused for good, or a stop is requested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random
from tenacity.stop import stop_base

from runtime.errors import Refused, Stopped, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.signals import Stop

T = TypeVar("T")

#: First and longest pause between tries, in seconds. Long enough to spare a server that is starting, short enough
#: that the lag after an outage is not the pause's.
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 15.0

log = structlog.get_logger()


def passing(error: BaseException) -> bool:
    """Whether trying again may help by itself: a system does not answer (and did not say no)."""
    return isinstance(error, Unreachable) and not isinstance(error, Refused)


def retry(
    action: Callable[[], T],
    stop: Stop,
    *,
    retryable: Callable[[BaseException], bool] = passing,
    meanwhile: Callable[[], None] = lambda: None,
) -> T:
    """Return what ``action`` returns, calling it again while its error is ``retryable``.

    ``meanwhile`` is called before each pause. Raises Stopped as soon as a stop is requested, else the first error that
    is not retryable.
    """

    def before_pause(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = round(state.upcoming_sleep, 2)
        log.warning("retrying", error=type(error).__name__, where=getattr(error, "where", ""), pause_s=pause)
        meanwhile()

    def pause(seconds: float) -> None:
        stop.wait(seconds)

    attempts = Retrying(
        retry=retry_if_exception(retryable),
        wait=wait_exponential(FIRST_PAUSE_S, LONGEST_PAUSE_S - FIRST_PAUSE_S) + wait_random(0, FIRST_PAUSE_S),
        stop=_Requested(stop),
        sleep=pause,
        before_sleep=before_pause,
        reraise=True,
    )
    try:
        return attempts(action)
    except Exception as error:
        if stop.requested and retryable(error):
            raise Stopped("a stop was requested while waiting for a system") from error
        raise


class _Requested(stop_base):
    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002 - tenacity's signature
        return self._stop.requested
