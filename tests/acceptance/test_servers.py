"""Servers that die under load, and commits that wait for a standby: the daemons live through it by themselves."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.daemons_pipeline import patiently, until
from tests.support.nemesis import Nemesis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from operate.local.stack import Stack
    from tests.support.daemons_pipeline import Pipeline
    from tests.support.daemons_setting import Setting

pytestmark = pytest.mark.live

WAITS_FOR_STANDBY = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.mark.parametrize("server", ["kafka", "postgresql", "target"])
def test_a_server_that_is_killed_under_load_costs_time_but_no_row(
    mortal: Stack, mortal_setting: Setting, server: str
) -> None:
    setting = mortal_setting
    pipeline, workload = setting.pipeline, setting.workload
    setting.load()
    daemons = [(pipeline.capture, pipeline.capture.pid), (pipeline.apply, pipeline.apply.pid)]
    with workload.running(), setting.reader.reading():
        for _ in range(2):
            workload.progress()
            setting.reader.wait_for_news()
            pipeline.resync("public.documents", "public.visits")
            mortal.kill(server)
            assert not mortal.server(server).running
            if server != "postgresql":
                workload.progress()
            mortal.start(server)
            setting.reader.wait_for_news()
    patiently(setting.settle)
    assert [(daemon, daemon.pid) for daemon, _ in daemons if daemon.running] == daemons
    pipeline.assert_restart_applies_nothing()


def test_a_commit_that_waits_for_a_standby_is_neither_lost_nor_doubled_by_a_snapshot(mortal_setting: Setting) -> None:
    """It is in the log and published, and saved, and yet no snapshot sees it, before and after a restart of capture."""
    pipeline = mortal_setting.pipeline
    mortal_setting.load()
    with held(
        pipeline.source,
        "UPDATE documents SET title = 'held' WHERE id % 5 = 0",
        "DELETE FROM documents WHERE id % 5 = 1",
        "UPDATE documents SET id = id + 1000 WHERE id % 5 = 2",
        "INSERT INTO visits SELECT 'held', i, NULL FROM generate_series(1, 20) i",
        "DELETE FROM visits WHERE visitor = 3",
    ) as end:
        pipeline.wait_for_saved(lambda saved: saved.stream is not None and saved.stream.resume["lsn"] >= end)
        assert pipeline.capture.stop() == 0
        pipeline.resync("public.documents", "public.visits")
        pipeline.capture.start()
        pipeline.wait_for_saved(lambda saved: saved.tables["public.visits"].phase.value == "snapshotting")
        with psycopg.connect(pipeline.source, autocommit=True) as local:
            local.execute("SET synchronous_commit = local")
            local.execute("UPDATE documents SET title = 'meanwhile' WHERE id % 5 = 3")
            pass_through(pipeline, local, 77)
            pipeline.capture.kill()
            pipeline.capture.start()
            for n in range(78, 82):  # longer than it takes a worker to start: a chunk, were one asked for, would be in
                pass_through(pipeline, local, n)
                pipeline.command("status")
    mortal_setting.settle()
    pipeline.assert_restart_applies_nothing()


def test_a_column_whose_commit_waits_for_a_standby_comes_with_the_value_of_older_rows(mortal_setting: Setting) -> None:
    """The stream brings the column before any query can see it in the catalog."""
    pipeline = mortal_setting.pipeline
    mortal_setting.load()
    ddl = "ALTER TABLE growing ADD COLUMN late text DEFAULT 'older rows have this'"
    with held(pipeline.source, ddl, "INSERT INTO growing (id, v, late) VALUES (-1, 'new', 'x')"):
        pipeline.capture.wait_for_event("capture.rewinds")
    mortal_setting.settle()
    pipeline.assert_restart_applies_nothing()


def pass_through(pipeline: Pipeline, source: psycopg.Connection[Any], n: int) -> None:
    """Change a row at the source and wait until it is in the target."""
    source.execute("UPDATE counter SET n = %s", [n])
    pipeline.wait_for_target("SELECT n FROM counter", n)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_faults_of_daemons_and_servers_lose_and_double_nothing(
    mortal: Stack, mortal_setting: Setting, seed: int
) -> None:
    setting, nemesis = mortal_setting, Nemesis(mortal_setting, seed, mortal)
    setting.load()
    with setting.workload.running(), setting.reader.reading():
        for _ in range(25):
            nemesis.strike()
            nemesis.pause(0.5)
            setting.reader.wait_for_news(120)
    patiently(setting.settle)
    setting.pipeline.assert_restart_applies_nothing()
    assert nemesis.fired.total() == 25


@contextmanager
def held(url: str, *statements: str) -> Iterator[int]:
    """Run a transaction whose COMMIT waits, until the end of the context, for a standby that does not exist.

    Give a place in the log behind it.
    """

    def run() -> None:
        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement)

    writer = threading.Thread(target=run)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SET synchronous_commit = local")
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            until(lambda: admin.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",), "it is set")
            writer.start()
            until(lambda: admin.execute(WAITS_FOR_STANDBY).fetchone() == (1,), "the commit waits")
            place: Any = admin.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
            yield int(place[0])
            assert admin.execute(WAITS_FOR_STANDBY).fetchone() == (1,), "the commit did not wait so long"
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
            writer.join(60)
