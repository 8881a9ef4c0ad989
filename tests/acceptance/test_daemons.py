"""Daemons that are stopped, frozen, doubled and killed at any moment, while their servers stay up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support import trials
from tests.support.nemesis import Nemesis

if TYPE_CHECKING:
    from tests.support.daemons_setting import Setting

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_daemons_that_are_stopped_under_load_end_well_and_publish_nothing_twice(setting: Setting) -> None:
    pipeline, workload = setting.pipeline, setting.workload
    with workload.running():
        pipeline.start()
        pipeline.capture.wait_for_event("snapshot.opened")
        for _ in range(3):
            workload.progress()
            pipeline.stop()
            pipeline.start()
        pipeline.caught_up()
        with setting.reader.reading():
            workload.progress(100)
            workload.write_much()
            pipeline.stop()
            pipeline.start()
    setting.settle()
    pipeline.assert_nothing_published_twice()
    pipeline.assert_restart_applies_nothing()


def test_a_frozen_apply_that_wakes_up_finds_itself_replaced_and_doubles_nothing(setting: Setting) -> None:
    pipeline, workload = setting.pipeline, setting.workload
    setting.load()
    heir = pipeline.another("apply", "--instance", "two", label="heir")
    with workload.running(), setting.reader.reading():
        workload.progress()
        zombie = pipeline.apply
        zombie.stop()
        zombie.start("apply.before_commit=stop@5")
        zombie.wait_for_stop_at("apply.before_commit")
        heir.start()
        heir.wait_for_event("partition.taken_over")
        setting.reader.wait_for_news()
        workload.progress()
        zombie.thaw()
        workload.progress(100)
        setting.reader.wait_for_news()
    setting.settle()
    assert zombie.running, zombie.last_words()
    before = pipeline.standing()
    assert heir.stop() == 0, heir.last_words()
    pipeline.assert_restart_applies_nothing()
    assert pipeline.standing().ends.keys() == before.ends.keys()


def test_a_second_capture_waits_for_the_first_one_to_end(setting: Setting) -> None:
    pipeline, workload = setting.pipeline, setting.workload
    setting.load()
    second = pipeline.another("capture", label="second")
    with workload.running(), setting.reader.reading():
        second.start()
        second.wait_for_event("capture.rewinds")
        run = pipeline.positions().run
        workload.progress()
        setting.reader.wait_for_news()
        assert pipeline.positions().run == run, "the waiting daemon has begun a run"
        assert pipeline.capture.stop() == 0
        pipeline.wait_for_saved(lambda saved: saved.stream is not None and saved.stream.run > run)
        workload.progress()
    setting.settle()
    pipeline.assert_nothing_published_twice()
    assert second.stop() == 0, second.last_words()


def test_a_dropped_slot_is_told_of_and_a_resync_mends_what_was_lost(setting: Setting) -> None:
    pipeline, workload = setting.pipeline, setting.workload
    setting.load()
    assert pipeline.capture.stop() == 0
    with psycopg.connect(pipeline.source, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot(%s)", [f"ferryman_{pipeline.name}"])
        connection.execute("DELETE FROM documents WHERE id % 2 = 0")  # nobody will ever read this in a log
        connection.execute("DELETE FROM visits WHERE visitor = 1")
    pipeline.capture.start()
    saved = pipeline.wait_for_saved(lambda p: all(t.phase.value == "needs_resync" for t in p.tables.values()))
    assert {bool(t.reason) and "resync" in (t.fix or "") for t in saved.tables.values()} == {True}

    code, answer = pipeline.command("wait", "--for", "caught-up", "--timeout", "60")
    assert code == 1
    assert "needs resync" in answer["reason"]
    code, answer = pipeline.command("status")
    assert {table["state"] for table in answer["tables"]} == {"needs_resync"}
    assert all(table["reason"] and "resync" in table["fix"] for table in answer["tables"])

    with workload.running():
        code, answer = pipeline.command("resync", "--all", "--wait", "--timeout", "60")
        assert (code, answer["done"]) == (0, True), answer
        with setting.reader.reading():
            workload.progress()
    setting.settle()
    pipeline.assert_restart_applies_nothing()


@pytest.mark.parametrize(
    "failpoint", ["capture.before_produce=error@9", "capture.chunk_published=error@3", "capture.published=error@4"]
)
def test_a_delivery_that_fails_in_the_middle_of_a_snapshot_rewinds_without_a_trace(
    setting: Setting, failpoint: str
) -> None:
    pipeline, workload = setting.pipeline, setting.workload
    with workload.running():
        pipeline.start(capture=failpoint)
        pipeline.capture.wait_for_event("capture.rewinds", cause="FailpointError")
        workload.progress()
        pipeline.caught_up()
        with setting.reader.reading():
            workload.progress()
    setting.settle()
    pipeline.assert_restart_applies_nothing()


def test_a_table_that_is_added_while_a_transaction_writes_to_it_is_complete(setting: Setting) -> None:
    pipeline = setting.pipeline
    setting.load()
    with psycopg.connect(pipeline.source) as early, psycopg.connect(pipeline.source) as late:
        for connection in (early, late):  # each has an xid before the table is published
            connection.execute("UPDATE counter SET n = n + 1 WHERE id = %s", [-connection.info.backend_pid])
            connection.execute("SELECT pg_current_xact_id()")
        with psycopg.connect(pipeline.source) as owner:
            owner.execute("CREATE TABLE added (id int PRIMARY KEY, v text)")
            owner.execute("INSERT INTO added SELECT i, 'first' FROM generate_series(1, 1000) i")
        early.execute("INSERT INTO added SELECT i, 'early' FROM generate_series(1001, 1500) i")
        late.execute("UPDATE added SET v = 'late' WHERE id % 7 = 0")
        pipeline.wait_for_saved(lambda saved: "public.added" in saved.tables)
        early.execute("DELETE FROM added WHERE id % 100 = 0 AND id % 7 <> 0")
        early.commit()
        late.execute("INSERT INTO added VALUES (5000, 'late')")
        late.commit()
    setting.settle()
    pipeline.assert_restart_applies_nothing()


def test_twenty_random_kills_under_load_lose_and_double_nothing(setting: Setting) -> None:
    faults(setting, Nemesis(setting, seed=1, only="kill "), times=20)


def test_a_frozen_capture_that_wakes_up_finds_itself_replaced_and_publishes_nothing_that_counts(
    setting: Setting,
) -> None:
    """The server takes the stream from it when it has been silent for too long, and another capture has it by then."""
    with psycopg.connect(setting.pipeline.source, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f'ALTER DATABASE "{name}" SET wal_sender_timeout = 2000')
    setting.load()
    with setting.workload.running(), setting.reader.reading():
        setting.workload.progress()
        for _ in range(2):
            trials.replace_frozen_capture(setting)
            setting.workload.progress()
    setting.settle()
    setting.pipeline.assert_restart_applies_nothing()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_forty_random_faults_under_load_lose_and_double_nothing(setting: Setting, seed: int) -> None:
    faults(setting, Nemesis(setting, seed), times=40)


def faults(setting: Setting, nemesis: Nemesis, times: int) -> None:
    """Let faults happen under load, with progress after each, and compare."""
    pipeline, workload = setting.pipeline, setting.workload
    setting.load()
    with workload.running(), setting.reader.reading():
        for _ in range(times):
            nemesis.strike()
            nemesis.pause(0.5)
            setting.reader.wait_for_news()
    setting.settle()
    pipeline.assert_restart_applies_nothing()
    pipeline.assert_nothing_left_behind()
    assert nemesis.fired.total() == times
