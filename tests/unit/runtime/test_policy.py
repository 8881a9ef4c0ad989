from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import policy
from runtime.errors import Refused, Stopped, Unreachable
from runtime.settings import RetryConfig
from runtime.signals import Stop

if TYPE_CHECKING:
    from collections.abc import Callable


class PatientStop(Stop):
    """A stop whose pauses take no time, and that is requested in the pause of that number."""

    def __init__(self, at_pause: int | None = None) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._at = at_pause

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        if len(self.pauses) == self._at:
            self.request()
        return self.requested


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def action() -> str:
        if left:
            raise left.pop()
        return "done"

    return action


def test_what_passes_by_itself_is_tried_until_it_works() -> None:
    stop = PatientStop()

    assert policy.retry(failing(20, Unreachable("down")), stop) == "done"
    assert len(stop.pauses) == 20


def test_pauses_grow_and_stay_bounded() -> None:
    stop = PatientStop()
    policy.retry(failing(20, Unreachable("down")), stop, RetryConfig(first_ms=50, longest_seconds=3))

    abouts = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, *[3] * 14]
    assert [0.75 <= pause / about <= 1.25 for pause, about in zip(stop.pauses, abouts, strict=True)] == [True] * 20


def test_what_somebody_must_mend_is_looked_at_again_less_and_less_often() -> None:
    pause = policy.Pause.blocked(RetryConfig(blocked_seconds=12))

    assert [0.75 <= pause.next() / about <= 1.25 for about in (1, 2, 4, 8, 12, 12)] == [True] * 6
    pause.reset()
    assert pause.next() <= 1.25


@pytest.mark.parametrize("error", [Refused("no"), ValueError("bug")])
def test_what_cannot_pass_is_raised_at_once(error: Exception) -> None:
    stop = PatientStop()

    with pytest.raises(type(error)):
        policy.retry(failing(1, error), stop)

    assert stop.pauses == []


def test_a_stop_ends_the_trying_in_its_pause() -> None:
    stop = PatientStop(at_pause=3)

    with pytest.raises(Stopped):
        policy.retry(failing(99, Unreachable("down")), stop)

    assert len(stop.pauses) == 3


def test_an_error_of_another_kind_is_raised_as_it_is_even_after_a_stop() -> None:
    stop = PatientStop()
    stop.request()

    with pytest.raises(ValueError, match="bug"):
        policy.retry(failing(1, ValueError("bug")), stop)


def test_the_caller_may_say_what_passes_and_is_called_before_each_pause() -> None:
    called: list[int] = []

    done = policy.retry(
        failing(2, ValueError("odd")),
        PatientStop(),
        retryable=lambda error: isinstance(error, ValueError),
        meanwhile=lambda: called.append(1),
    )

    assert (done, called) == ("done", [1, 1])
