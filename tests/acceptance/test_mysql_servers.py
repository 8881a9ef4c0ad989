"""MySQL and MariaDB servers that are cut off, die under load and are replaced: capture lives through it, or says why not."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support import network
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.mysql_site import DATABASE, Site
from tests.support.mysql_workload import TABLES, Workload
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]

KEYED = {f"{DATABASE}.{table}" for table in TABLES} - {f"{DATABASE}.visits"}


@pytest.fixture
def site(mysql_kind: str, mysql_kind_server: str) -> Iterator[Site]:
    """Servers of this test alone. (``mysql_kind_server`` says whether one can be had at all.)"""
    session = SessionStack()
    made = Site(session.folder, mysql_kind)
    yield made
    made.close()
    session.close()


@pytest.fixture
def workload(site: Site) -> Workload:
    made = Workload(site.direct, "servers")
    made.prepare()
    return made


@pytest.fixture
def pipeline(site: Site, workload: Workload, kafka: str, target_server: str, tmp_path: Path) -> Iterator[Pipeline]:
    name = f"servers_{secrets.token_hex(4)}"
    with (
        fresh_database(target_server, "target") as target,
        closing(Pipeline(tmp_path, name, kafka, site.url, target, source={"answer_timeout_seconds": 4})) as made,
    ):
        made.patience_s = 180
        made.start()
        made.caught_up()
        yield made


def assert_equal(pipeline: Pipeline, workload: Workload) -> None:
    pipeline.caught_up()
    assert workload.differences(pipeline.target) == []


@pytest.mark.parametrize("fault", [network.cut, network.reset, network.stall])
def test_a_link_that_breaks_costs_time_but_no_row(
    site: Site, workload: Workload, pipeline: Pipeline, fault: Callable[..., None]
) -> None:
    capture = pipeline.capture.pid
    with workload.running():
        for _ in range(3):
            workload.write_much()
            pipeline.resync(*KEYED, f"{DATABASE}.visits")  # so that it breaks while chunks are read, too
            fault(site.proxy)
            workload.progress()
        fault(site.proxy)
    assert_equal(pipeline, workload)
    assert pipeline.capture.pid == capture
    assert pipeline.capture.running


def test_a_server_that_is_killed_under_load_costs_time_but_no_row(
    site: Site, workload: Workload, pipeline: Pipeline
) -> None:
    capture = pipeline.capture.pid
    for _ in range(3):
        with workload.running(mortal=True):
            workload.progress()
            pipeline.resync(f"{DATABASE}.accounts")
            site.restart()
    with workload.running():
        workload.progress()
    assert_equal(pipeline, workload)
    assert pipeline.capture.pid == capture
    assert pipeline.capture.running


def test_a_replica_that_has_everything_goes_on_and_one_that_lacks_transactions_is_a_gap(
    site: Site, workload: Workload, pipeline: Pipeline
) -> None:
    site.replicate()
    with workload.running():
        workload.progress(100)
    site.part()
    site.move(to=1)
    workload.url = site.direct
    with workload.running():
        workload.progress(100)
    # The keyless table is copied again: rows published just before cannot be told from new ones.
    pipeline.wait_for_saved(lambda saved: saved.tables[f"{DATABASE}.visits"].phase.value == "needs_resync")
    pipeline.resync(f"{DATABASE}.visits")
    assert_equal(pipeline, workload)

    site.move(to=0)  # it never had what the other one has been given since
    saved = pipeline.wait_for_saved(lambda now: all(t.phase.value == "needs_resync" for t in now.tables.values()))
    assert {"lacks transactions" in (table.reason or "") for table in saved.tables.values()} == {True}
    workload.url = site.direct
    pipeline.resync(*KEYED, f"{DATABASE}.visits")
    with workload.running():
        workload.progress()
    assert_equal(pipeline, workload)
