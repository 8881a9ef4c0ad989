"""Nothing is taken away from under a daemon that runs, or that may be running."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operate import observing
from operate.commands import teardown
from operate.commands.teardown import Running, refuse_running
from operate.teardown import Parts
from runtime.settings import CommandsConfig
from tests.support.clock import Clock

LEAVING_S = 15.0
PIPELINE: Any = SimpleNamespace(commands=CommandsConfig(leaving_seconds=LEAVING_S))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(teardown, "time", clock)
    monkeypatch.setattr(observing, "capturing", lambda _: False)
    return clock


@pytest.mark.parametrize(("found", "words"), [(True, "apply is running"), (None, "do not say")])
def test_apply_is_waited_for_while_it_runs_or_nobody_knows(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, found: bool | None, words: str
) -> None:
    monkeypatch.setattr(observing, "applying", lambda _: found)

    with pytest.raises(Running, match=words):
        refuse_running(PIPELINE, Parts())

    assert clock.now > LEAVING_S


@pytest.mark.parametrize("before", [True, None])
def test_a_replica_that_has_left_meanwhile_is_in_nobody_s_way(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, before: bool | None
) -> None:
    monkeypatch.setattr(observing, "applying", lambda _: before if clock.now < LEAVING_S / 2 else False)

    refuse_running(PIPELINE, Parts())

    assert clock.now >= LEAVING_S / 2


def test_the_source_alone_does_not_concern_apply(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "applying", lambda _: True)

    refuse_running(PIPELINE, Parts(source=True, target=False, topics=False))

    assert clock.now == 0
