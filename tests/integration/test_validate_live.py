"""Comparing, repairing, waiting, steering and taking away a pipeline that runs, while its source is written to."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.daemons_pipeline import Pipeline, closing, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

TABLES = """
CREATE TABLE items (id int PRIMARY KEY, v text, n numeric);
INSERT INTO items SELECT g, md5(g::text), g FROM generate_series(1, 2000) g;
CREATE TABLE events (kind int, note text);
ALTER TABLE events REPLICA IDENTITY FULL;
INSERT INTO events SELECT g % 5, 'x' FROM generate_series(1, 500) g;
CREATE TABLE "Odd Name" (k text PRIMARY KEY, v int);
INSERT INTO "Odd Name" SELECT g::text, g FROM generate_series(1, 1000) g;
"""
ODD = 'public."Odd Name"'

#: Rows that the writers leave alone.
QUIET = 1_500


@pytest.fixture
def pipeline(tmp_path: Path, pipeline_name: str, kafka: str, source_db: str, target_db: str) -> Iterator[Pipeline]:
    with psycopg.connect(source_db) as source:
        source.execute(TABLES)
    with closing(Pipeline(tmp_path, pipeline_name, kafka, source_db, target_db)) as made:
        made.start()
        made.caught_up()
        yield made


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Write to the source all the time: a few rows again and again, one of them with every step."""
    over = threading.Event()

    def write() -> None:
        choose = random.Random(7)
        with psycopg.connect(url, autocommit=True) as source:
            while not over.wait(0.005):  # a row that changes faster than it can be looked at is left unsettled
                row = choose.randrange(1, QUIET)
                source.execute("UPDATE items SET n = n + 1 WHERE id = 1")
                source.execute("DELETE FROM items WHERE id = %s", [row])
                source.execute("INSERT INTO items VALUES (%s, 'new', %s)", [row, choose.random()])
                source.execute("INSERT INTO events VALUES (%s, 'y')", [choose.randrange(5)])
                source.execute("DELETE FROM events WHERE ctid = (SELECT ctid FROM events WHERE note = 'y' LIMIT 1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def spoil(url: str) -> None:
    """Make the target wrong in rows that nobody writes to."""
    with psycopg.connect(url) as target:
        target.execute("DELETE FROM items WHERE id IN (1601, 1602)")
        target.execute("UPDATE items SET v = v || ' ' WHERE id = 1700")
        target.execute("INSERT INTO items VALUES (-1, 'extra', 0)")
        target.execute(
            "DELETE FROM events WHERE ctid = (SELECT ctid FROM events WHERE kind = 3 AND note = 'x' LIMIT 1)"
        )
        target.execute("INSERT INTO events VALUES (9, 'extra'), (9, 'extra')")


def figures(document: dict) -> dict[str, tuple[str, int, int, int]]:
    return {t["table"]: (t["state"], t["missing"], t["extra"], t["different"]) for t in document["tables"]}


def test_differences_are_told_from_changes_on_their_way_and_repaired_without_disturbing_them(
    pipeline: Pipeline,
) -> None:
    equal = {"public.items": ("equal", 0, 0, 0), "public.events": ("equal", 0, 0, 0), ODD: ("equal", 0, 0, 0)}
    with writing(pipeline.source):
        code, before = pipeline.command("validate")
        assert (code, before["equal"], figures(before)) == (0, True, equal)

        spoil(pipeline.target)
        code, found = pipeline.command("validate")
        wrong = {"public.items": ("different", 2, 1, 1), "public.events": ("different", 1, 2, 0)}
        assert (code, found["equal"], figures(found)) == (1, False, equal | wrong)

        code, repaired = pipeline.command("validate", "--repair")
        assert (code, figures(repaired)) == (0, equal)
        assert {t["table"]: t["repaired"] for t in repaired["tables"]} == {
            "public.items": 4,
            "public.events": 2,
            ODD: 0,
        }

    pipeline.caught_up()
    pipeline.assert_equal()


def test_differences_are_counted_while_the_daemons_are_down_and_said_to_be_unsure(pipeline: Pipeline) -> None:
    pipeline.stop()
    with psycopg.connect(pipeline.source) as source:
        source.execute("DELETE FROM items WHERE id = 7")

    code, document = pipeline.command("validate", "--tables", "public.it?ms")

    assert code == 1
    assert figures(document) == {"public.items": ("different", 0, 1, 0)}
    assert "changes on their way" in document["tables"][0]["reason"]
    code, unrepaired = pipeline.command("validate", "--tables", "public.items", "--repair")
    assert (code, figures(unrepaired)) == (1, {"public.items": ("different", 0, 1, 0)})


def test_waiting_covers_tables_that_were_made_just_before(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.source) as source:
        source.execute("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late SELECT generate_series(1, 300)")

    code, document = pipeline.command("wait", "--for", "caught-up")

    assert (code, document["done"], document["reason"]) == (0, True, None)
    with psycopg.connect(pipeline.target) as target:
        assert target.execute("SELECT count(*) FROM late").fetchone() == (300,)


def test_a_blocked_table_ends_the_wait_with_the_reason(pipeline: Pipeline) -> None:
    with psycopg.connect(pipeline.source) as source:
        source.execute("CREATE TABLE nameless (a int)")

    code, document = pipeline.command("wait", "--for", "snapshot")

    assert (code, document["done"]) == (1, False)
    assert document["reason"].startswith("public.nameless is blocked: ")


def test_waiting_for_a_daemon_that_is_down_ends_with_what_is_missing(pipeline: Pipeline) -> None:
    assert pipeline.apply.stop() == 0
    with psycopg.connect(pipeline.source) as source:
        source.execute("DELETE FROM items WHERE id = 7")

    def is_told() -> bool:
        """Once capture has published it, which it may not have done within the first three seconds."""
        code, document = pipeline.command("wait", "--for", "caught-up", "--timeout", "3")
        assert (code, document["done"]) == (1, False)
        return "events to apply" in document["reason"]

    until(is_told, "what is missing is told")


def test_a_resync_makes_the_target_right_again(pipeline: Pipeline) -> None:
    spoil(pipeline.target)

    code, document = pipeline.command("resync", "public.items", "public.events", "--wait")

    assert (code, document["done"]) == (0, True)
    pipeline.caught_up()
    pipeline.assert_equal()
    assert pipeline.command("resync", "public.item")[0] == 2


def test_status_knows_the_pipeline_while_the_daemons_are_down(pipeline: Pipeline) -> None:
    running = pipeline.command("status")[1]
    assert (running["capture"]["state"], running["apply"]["state"]) == ("running", "running")
    assert running["capture"]["slot_status"] == "reserved"

    pipeline.stop()
    code, stopped = pipeline.command("status")

    assert (code, stopped["capture"]["state"]) == (0, "stopped")
    assert {t["table"]: (t["state"], t["snapshot_rows"]) for t in stopped["tables"]} == {
        "public.items": ("streaming", 2_000), "public.events": ("streaming", 500), ODD: ("streaming", 1_000),
    }  # fmt: skip
    assert stopped["apply"]["lag_events"] == 0


def test_teardown_leaves_the_copied_tables_and_nothing_else(pipeline: Pipeline) -> None:
    code, refused = pipeline.command("teardown", "--yes")
    assert (code, refused["error"]["what"]) == (1, "capture is running")
    pipeline.stop()

    code, document = pipeline.command("teardown", "--yes")

    assert code == 0
    assert f"replication slot ferryman_{pipeline.name}" in document["removed"]
    assert f"topic {pipeline.name}.public.items" in document["removed"]
    with psycopg.connect(pipeline.source) as source:
        assert source.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)
    with psycopg.connect(pipeline.target) as target:
        assert target.execute("SELECT count(*) FROM items").fetchone() == (2_000,)
        assert target.execute("SELECT to_regnamespace('ferryman')").fetchone() == (None,)
    assert pipeline.command("teardown", "--yes") == (0, {"removed": []})
