"""Partitions that come and go take rows with them without a word in the log: the table says that it is lost."""

from __future__ import annotations

import json

import pytest

from tests.support.postgres_source import Database
from tests.support.sources import changes, found, read_all, started

pytestmark = pytest.mark.live

#: What is done to a partition, and the beginning of what the table says then.
LOST = {
    "DROP TABLE t1": "a partition was dropped or detached",
    "ALTER TABLE t DETACH PARTITION t1": "a partition was dropped or detached",
    "TRUNCATE t1": "a partition was truncated or rewritten",
    "ALTER TABLE t ATTACH PARTITION full_one FOR VALUES IN (3)": "partition public.full_one was attached",
    "ALTER TABLE t ATTACH PARTITION deep FOR VALUES IN (4)": "partition public.deeper was attached",
}
KEPT = [
    "CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5)",
    "ALTER TABLE t ATTACH PARTITION empty_one FOR VALUES IN (6)",
    "TRUNCATE t",
    "VACUUM t",
]


@pytest.fixture
def db(source_db, pipeline_name):
    database = Database(source_db, pipeline_name)
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY LIST (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)",
        "CREATE TABLE full_one (id int PRIMARY KEY); INSERT INTO full_one VALUES (3)",
        "CREATE TABLE empty_one (id int PRIMARY KEY)",
        "CREATE TABLE deep (id int PRIMARY KEY) PARTITION BY LIST (id)",
        "CREATE TABLE deeper PARTITION OF deep FOR VALUES IN (4); INSERT INTO deep VALUES (4)",
        "INSERT INTO t VALUES (1)",
    )
    return database


@pytest.mark.parametrize(("statement", "reason"), LOST.items())
def test_rows_that_come_or_go_with_their_partition_lose_the_table(db, statement, reason):
    with started(db.source()) as source:
        read_all(source)
        db.run(statement)
        source.tables()
        assert read_all(source).lost["public.t"].startswith(reason)


@pytest.mark.parametrize(("statement", "reason"), LOST.items())
def test_that_is_noticed_also_when_capture_was_down(db, statement, reason):
    with started(db.source()) as source:
        saved, identity = json.loads(json.dumps(read_all(source).resume)), source.identity
    db.run(statement)
    with started(db.source(), saved, identity) as source:
        assert read_all(source).lost["public.t"].startswith(reason)


@pytest.mark.parametrize("statement", KEPT)
def test_what_brings_or_takes_no_row_unseen_keeps_the_table(db, statement):
    with started(db.source()) as source:
        read_all(source)
        db.run(statement)
        source.tables()
        assert read_all(source).lost == {}


def test_rows_inserted_after_an_empty_partition_was_attached_are_in_the_stream(db):
    with started(db.source()) as source:
        read_all(source)
        db.run("ALTER TABLE t ATTACH PARTITION empty_one FOR VALUES IN (6)", "INSERT INTO t VALUES (6)")
        source.tables()
        batch = read_all(source)

    assert batch.lost == {}
    assert [(e.table.name, e.after) for e in changes(batch)] == [("t", (b"6",))]


def test_an_opening_snapshot_begins_with_the_partitions_of_now(db):
    with started(db.source()) as source:
        read_all(source)
        db.run("DROP TABLE t1; DROP TABLE t2")
        source.schema(found(source, "t"))
        read_all(source)
        source.tables()
        assert read_all(source).lost == {}
