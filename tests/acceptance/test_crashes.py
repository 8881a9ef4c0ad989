"""``kill -9`` at every failpoint, under load, while snapshots are under way: nothing is lost, nothing is doubled."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

import psycopg
import pytest

from runtime.failpoints import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.daemons_setting import Setting, Sweep

pytestmark = pytest.mark.live

#: Failpoints that a process meets once, unless something makes it begin anew.
AGAIN = {"capture.started": "capture.produced=error"}

CAPTURE = [name for name in NAMES if name.startswith("capture.")]
APPLY = [name for name in NAMES if name.startswith("apply.")]


#: One place of capture with one of apply, until each had its turn: a round costs the same with two crashes.
ROUNDS = [
    pytest.param(capture, apply, id=" and ".join(filter(None, (capture, apply))))
    for capture, apply in zip_longest(CAPTURE, APPLY)
]


def test_every_failpoint_belongs_to_one_of_the_daemons() -> None:
    assert set(CAPTURE) | set(APPLY) == set(NAMES)


@pytest.mark.parametrize(("capture", "apply"), ROUNDS)
def test_daemons_killed_at_their_first_pass_lose_and_double_nothing(
    sweep: Sweep, capture: str | None, apply: str | None
) -> None:
    with sweep.round() as setting:
        crash(setting, capture, apply, nth=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_daemon_killed_at_its_third_pass_loses_and_doubles_nothing(sweep: Sweep, name: str) -> None:
    with sweep.round() as setting:
        crash(setting, name if name in CAPTURE else None, name if name in APPLY else None, nth=3)


def crash(setting: Setting, capture: str | None, apply: str | None, nth: int) -> None:
    """Run into the crashes under load, go on, and compare."""
    pipeline, workload = setting.pipeline, setting.workload
    pipeline.resync("public.documents", "public.visits", "public.pairs")
    pipeline.start(armed(capture, nth), armed(apply, nth))
    with setting.reader.reading(), fresh_tables(pipeline.source):
        with workload.running():
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


@contextmanager
def fresh_tables(source: str) -> Iterator[None]:
    """Three tables that are new while the crashes happen, so that tables are found, made and loaded."""
    names = [f"fresh_{number}" for number in range(3)]
    with psycopg.connect(source, autocommit=True) as connection:
        for name in names:
            connection.execute(
                f"CREATE TABLE {name} AS SELECT i AS id, repeat('x', i) AS v FROM generate_series(1, 400) i"
            )
            connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        yield
        connection.execute(f"DROP TABLE {', '.join(names)}")


def armed(name: str | None, nth: int) -> str:
    """Return what makes a daemon die at its ``nth`` pass of a failpoint."""
    if name is None:
        return ""
    kill = f"{name}=kill@{nth}"
    return f"{kill},{AGAIN[name]}" if nth > 1 and name in AGAIN else kill
