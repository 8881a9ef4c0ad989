"""``kill -9`` at every failpoint, under load, while snapshots are under way: nothing is lost, nothing is doubled."""

from __future__ import annotations

from itertools import zip_longest
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from runtime.failpoints import NAMES
from tests.support.trials import COPIED, armed, fresh_tables

if TYPE_CHECKING:
    from tests.support.daemons_setting import Setting, Sweep

pytestmark = pytest.mark.live

CAPTURE = [name for name in NAMES if name.startswith("capture.")]
APPLY = [name for name in NAMES if name.startswith("apply.")]


#: One place of capture with one of apply, until each had its turn: a round costs the same with two crashes.
ROUNDS = list(zip_longest(CAPTURE, APPLY))
#: How many rounds the fast tests take; all of them are in the slow ones.
SAMPLE = Random("crashes:1").sample(ROUNDS, 5)


def rounds(nth: int) -> list[Any]:
    return [
        pytest.param(
            *pair,
            nth,
            id=f"{' and '.join(filter(None, pair))} at pass {nth}",
            marks=() if pair in SAMPLE and nth == 1 else pytest.mark.slow,
        )
        for pair in ROUNDS
    ]


def test_the_sweep_names_every_failpoint() -> None:
    assert sorted(name for pair in ROUNDS for name in pair if name is not None) == sorted(NAMES)


@pytest.mark.parametrize(("capture", "apply", "nth"), [*rounds(1), *rounds(3)])
def test_daemons_killed_at_a_failpoint_lose_and_double_nothing(
    sweep: Sweep, capture: str | None, apply: str | None, nth: int
) -> None:
    with sweep.round() as setting:
        crash(setting, capture, apply, nth)


def crash(setting: Setting, capture: str | None, apply: str | None, nth: int) -> None:
    """Run into the crashes under load, go on, and compare."""
    pipeline, workload = setting.pipeline, setting.workload
    pipeline.resync(*COPIED)
    pipeline.start(armed(capture, nth), armed(apply, nth))
    with setting.reader.reading(), fresh_tables(pipeline.source):
        with workload.running():
            workload.write_much(4_000)
            workload.alter()
            if capture is not None:
                pipeline.capture.wait_for_death_at(capture)
                pipeline.capture.start()
            if apply is not None:
                pipeline.apply.wait_for_death_at(apply)
                pipeline.apply.start()
            setting.reader.wait_for_news()
            workload.progress()
        setting.settle()
        pipeline.assert_restart_applies_nothing()
    pipeline.stop()
    pipeline.assert_nothing_left_behind()
