"""``kill -9`` at every failpoint with MySQL and MariaDB as the source, under load, while its tables are copied."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.test_crashes import ROUNDS
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.mysql_workload import TABLES, Workload
from tests.support.trials import armed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.live

#: The places that the fast test dies at; all others are in the slow one.
FEW = [("capture.chunk_published", "apply.before_commit")]


class Setting:
    """A pipeline from one server, and the workload there."""

    def __init__(self, pipeline: Pipeline, workload: Workload) -> None:
        self.pipeline, self.workload = pipeline, workload


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
        pipeline.resync(*(f"{workload.database}.{table}" for table in TABLES))
        pipeline.start(armed(capture, 1), armed(apply, 1))
        with workload.fresh_table(), workload.running():
            workload.write_much()
            for daemon, place in ((pipeline.capture, capture), (pipeline.apply, apply)):
                if place is not None:
                    daemon.wait_for_death_at(place)
                    daemon.start()
            workload.progress()
            pipeline.caught_up()
        pipeline.caught_up()
        assert workload.differences(pipeline.target) == [], f"after {capture} and {apply}"
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
