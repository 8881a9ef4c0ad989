"""``kill -9`` at every failpoint with MySQL and MariaDB as the source, under load, while its tables are copied."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.test_crashes import ROUNDS
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.mysql_workload import TABLES, Workload
from tests.support.nemesis import Nemesis
from tests.support.trials import armed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.live

KILLS = 20
#: The places that the fast test dies at; all others are in the slow one.
FEW = [("capture.chunk_published", "apply.before_commit")]


class Setting:
    """A pipeline from one server, and the workload there."""

    def __init__(self, pipeline: Pipeline, workload: Workload) -> None:
        self.pipeline, self.workload = pipeline, workload
        #: The tables that a fault may have copied anew on its way.
        self.copied = tuple(f"{workload.database}.{table}" for table in TABLES)

    def fresh_tables(self) -> AbstractContextManager[None]:
        """A table that is new while something happens."""
        return self.workload.fresh_table()

    def settle(self, after: str) -> None:
        """Everything is in the target, and nothing is different."""
        self.pipeline.caught_up()
        assert self.workload.differences(self.pipeline.target) == [], after


@pytest.fixture
def setting(mysql_kind_db: str, kafka: str, target_server: str, tmp_path: Path) -> Iterator[Setting]:
    workload = Workload(mysql_kind_db, "crashes")
    workload.prepare()
    name = f"crashes_{secrets.token_hex(4)}"
    with (
        fresh_database(target_server, "target") as target,
        closing(Pipeline(tmp_path, name, kafka, mysql_kind_db, target)) as pipeline,
    ):
        yield Setting(pipeline, workload)


def crash(setting: Setting, rounds: Sequence[tuple[str | None, str | None]]) -> None:
    """Die at each pair of places, with all tables being copied anew, and compare everything after each."""
    pipeline, workload = setting.pipeline, setting.workload
    pipeline.start()
    pipeline.caught_up()
    for capture, apply in rounds:
        pipeline.stop()
        pipeline.resync(*setting.copied)
        pipeline.start(armed(capture, 1), armed(apply, 1))
        with workload.fresh_table(), workload.running():
            workload.write_much()
            for daemon, place in ((pipeline.capture, capture), (pipeline.apply, apply)):
                if place is not None:
                    daemon.wait_for_death_at(place)
                    daemon.start()
            workload.progress()
            pipeline.caught_up()
        setting.settle(f"after {capture} and {apply}")
    assert_steady(setting)


def assert_steady(setting: Setting) -> None:
    """`validate` finds both sides equal, and a restart applies and publishes nothing."""
    pipeline = setting.pipeline
    code, document = pipeline.command("validate")
    assert (code, document["equal"]) == (0, True)
    before = pipeline.standing()
    pipeline.stop()
    pipeline.start()
    pipeline.caught_up()
    assert pipeline.standing() == before, "a restart applied or published something"
    pipeline.stop()


@pytest.mark.timeout(900)
def test_daemons_killed_at_some_failpoints_lose_and_double_nothing(setting: Setting) -> None:
    crash(setting, FEW)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_daemons_killed_at_every_failpoint_lose_and_double_nothing(setting: Setting) -> None:
    crash(setting, ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_twenty_random_kills_under_load_lose_and_double_nothing(
    setting: Setting, record_property: Callable[[str, object], None]
) -> None:
    """``kill -9`` of both daemons at random moments and failpoints, between DDL and large transactions."""
    pipeline, workload = setting.pipeline, setting.workload
    pipeline.start()
    pipeline.caught_up()
    nemesis = Nemesis(setting, "mysql:1", only="kill ")
    with workload.running():
        for number in range(KILLS):
            if number % 5 == 0:
                pipeline.caught_up()
                workload.alter(default=True)
                pipeline.caught_up()
            if number % 2:
                workload.write_much()
            workload.alter()
            nemesis.strike()
            workload.progress()
            nemesis.pause(0.5)
    setting.settle("after twenty kills")
    assert_steady(setting)
    assert nemesis.fired.total() == KILLS
    record_property("kills", dict(nemesis.fired))
    record_property("transactions", workload.transactions)
    record_property("rows compared", workload.rows())
