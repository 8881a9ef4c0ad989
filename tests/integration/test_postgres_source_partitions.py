"""Partitions that come and go take rows with them without a word in the log: the table says that it is lost."""

from __future__ import annotations

import json

import pytest

from capture.source import SourceError
from runtime.config import Owned
from tests.support.postgres_source import Database
from tests.support.sources import changes, found, read_all, started

pytestmark = pytest.mark.live

#: What is done to a partition, and the beginning of what the table says then.
LOST = {
    "DROP TABLE t1": "a partition was dropped or detached",
    "ALTER TABLE t DETACH PARTITION t1": "a partition was dropped or detached",
    "TRUNCATE t1": "a partition was truncated or rewritten",
    "ALTER TABLE t ATTACH PARTITION full_one FOR VALUES IN (3)": "partition {schema}.full_one was attached",
    "ALTER TABLE t ATTACH PARTITION deep FOR VALUES IN (4)": "partition {schema}.deeper was attached",
    "TRUNCATE t1, t2": "a partition was truncated or rewritten",
    "TRUNCATE t|INSERT INTO t VALUES (1)|TRUNCATE t1, t2": "a partition was truncated or rewritten",
    "CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5)|INSERT INTO t VALUES (5)|TRUNCATE t5": (
        "a partition was truncated or rewritten"
    ),
    # The moment in which it is no partition is enough: what is done to it then is not in the log.
    "BEGIN; ALTER TABLE t DETACH PARTITION t1; DELETE FROM t1; ALTER TABLE t ATTACH PARTITION t1 FOR VALUES IN (1); "
    "COMMIT": "a partition was detached and attached again",
    "ALTER TABLE t DETACH PARTITION t1|INSERT INTO t1 VALUES (7)|"
    "ALTER TABLE t ATTACH PARTITION t1 FOR VALUES IN (1, 7)": "a partition was detached and attached again",
    "BEGIN; CREATE TABLE t5 (LIKE t INCLUDING ALL); INSERT INTO t5 VALUES (5); "
    "ALTER TABLE t ATTACH PARTITION t5 FOR VALUES IN (5); COMMIT": "partition {schema}.t5 was attached",
    "BEGIN; CREATE TABLE t5 (LIKE t INCLUDING ALL); SAVEPOINT s; INSERT INTO t5 VALUES (5); RELEASE s; "
    "ALTER TABLE t ATTACH PARTITION t5 FOR VALUES IN (5); COMMIT": "partition {schema}.t5 was attached",
    "BEGIN; INSERT INTO empty_one VALUES (6); ALTER TABLE t ATTACH PARTITION empty_one FOR VALUES IN (6); COMMIT": (
        "partition {schema}.empty_one was attached"
    ),
}
KEPT = (
    "CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5)",
    "CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5)|ALTER TABLE t5 OWNER TO postgres|INSERT INTO t VALUES (5)",
    "BEGIN; CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5); INSERT INTO t VALUES (5); COMMIT",
    "ALTER TABLE t ATTACH PARTITION empty_one FOR VALUES IN (6)|INSERT INTO t VALUES (6)",
    "BEGIN; CREATE TABLE t5 (LIKE t INCLUDING ALL); ALTER TABLE t ATTACH PARTITION t5 FOR VALUES IN (5); COMMIT",
    (
        "BEGIN; CREATE TABLE t5 (LIKE t INCLUDING ALL); ALTER TABLE t ATTACH PARTITION t5 FOR VALUES IN (5); "
        "INSERT INTO t VALUES (5); COMMIT"
    ),
    "TRUNCATE t",
    "TRUNCATE t|INSERT INTO t VALUES (1)|TRUNCATE t",
    "CREATE TABLE t5 PARTITION OF t FOR VALUES IN (5)|INSERT INTO t VALUES (5)|TRUNCATE t|INSERT INTO t VALUES (5)",
    "VACUUM t",
    "VACUUM FREEZE pg_inherits|VACUUM FULL pg_inherits",
)
#: The tables of each case.
MAKE = (
    "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY LIST (id)",
    "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2)",
    "CREATE TABLE full_one (id int PRIMARY KEY); INSERT INTO full_one VALUES (3)",
    "CREATE TABLE empty_one (id int PRIMARY KEY)",
    "CREATE TABLE deep (id int PRIMARY KEY) PARTITION BY LIST (id)",
    "CREATE TABLE deeper PARTITION OF deep FOR VALUES IN (4); INSERT INTO deep VALUES (4)",
    "INSERT INTO t VALUES (1)",
)


@pytest.fixture
def db(source_db, pipeline_name):
    database = Database(source_db, pipeline_name)
    database.run(*MAKE)
    return database


@pytest.fixture
def several(source_db, pipeline_name):
    """A database in which every case has a schema with the tables; gives what runs each case in its own."""
    database = Database(source_db, pipeline_name)
    for number in range(max(len(LOST), len(KEPT))):
        database.run(f"CREATE SCHEMA c{number}", f"SET search_path = c{number}", *MAKE)
    return database


def run_each(database, cases):
    """Run the statements of each case, those between bars in transactions of their own."""
    for number, statements in enumerate(cases):
        database.run(f"SET search_path = c{number}", *statements.split("|"))


def looks_and_reads(source):
    """Look at the catalog before the stream and after it; return what is lost."""
    lost = {}
    for _ in range(2):
        source.tables()
        lost |= read_all(source).lost
    return lost


def reasons(lost, cases):
    """What is said of each case's table, as far as the case says it."""
    ends = {f"c{number}.t": len(reason.format(schema=f"c{number}")) for number, reason in enumerate(cases.values())}
    return {name: lost[name][:end] for name, end in ends.items() if name in lost}


def expected(cases):
    return {f"c{number}.t": reason.format(schema=f"c{number}") for number, reason in enumerate(cases.values())}


def test_rows_that_come_or_go_with_their_partition_lose_the_table(several):
    with started(several.source(include="c*.*")) as source:
        read_all(source)
        run_each(several, LOST)
        assert reasons(looks_and_reads(source), LOST) == expected(LOST)


def test_that_is_noticed_also_when_capture_was_down(several):
    with started(several.source(include="c*.*")) as source:
        saved, identity = json.loads(json.dumps(read_all(source).resume)), source.identity
    run_each(several, LOST)
    with started(several.source(include="c*.*"), saved, identity) as source:
        assert reasons(looks_and_reads(source), LOST) == expected(LOST)


def test_what_brings_or_takes_no_row_unseen_keeps_the_table(several):
    with started(several.source(include="c*.*")) as source:
        read_all(source)
        run_each(several, KEPT)
        assert looks_and_reads(source) == {}


def test_a_truncate_that_was_read_before_the_catalog_and_a_restart_keeps_the_table(db):
    with started(db.source()) as source:
        read_all(source)
        db.run("TRUNCATE t")
        saved, identity = json.loads(json.dumps(read_all(source).resume)), source.identity
    with started(db.source(), saved, identity) as source:
        assert looks_and_reads(source) == {}


def test_the_only_partition_is_not_truncated_unseen(db):
    """Also when nothing tells its new file from one that a TRUNCATE of the whole table gave it."""
    db.run("DROP TABLE t2")
    with started(db.source()) as source:
        read_all(source)
        db.run("TRUNCATE t1")
        assert looks_and_reads(source)["public.t"].startswith("a partition was truncated")


def test_leaves_that_an_earlier_version_saved_are_compared_as_far_as_they_go(db):
    with started(db.source()) as source:
        saved, identity = json.loads(json.dumps(read_all(source).resume)), source.identity
    saved |= saved.pop("remembered")
    saved["partitions"] = {
        root: [[leaf, file] for leaf, file, _links in known["leaves"]] for root, known in saved["partitions"].items()
    }
    with started(db.source(), saved, identity) as source:
        assert looks_and_reads(source) == {}
        db.run("TRUNCATE t1")
        assert looks_and_reads(source) != {}


def test_partitions_with_another_replica_identity_are_told_before_their_changes_mislead(db):
    """An UPDATE or DELETE of such a partition does not say which row of the table it means."""
    db.run(
        "DROP TABLE t; CREATE TABLE t (id int NOT NULL, a int NOT NULL, b int NOT NULL) PARTITION BY LIST (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE UNIQUE INDEX ia ON t (id, a)",
        "CREATE UNIQUE INDEX ib ON t1 (b); ALTER TABLE t REPLICA IDENTITY USING INDEX ia",
        "ALTER TABLE t1 REPLICA IDENTITY USING INDEX t1_id_a_idx; INSERT INTO t VALUES (1, 2, 3)",
    )
    with started(db.source()) as source:
        read_all(source)
        assert found(source, "t").reason is None
        db.run("ALTER TABLE t1 REPLICA IDENTITY USING INDEX ib", "UPDATE t SET b = 4")
        batch = read_all(source)
        assert changes(batch) == []
        assert batch.lost["public.t"].startswith("a partition of it has another replica identity")
        table = found(source, "t")
        assert table.reason.startswith("some of its partitions have another replica identity")
        db.run(table.fix)
        assert found(source, "t").reason is None


def test_a_publication_made_by_hand_that_publishes_partitions_as_themselves_is_refused(db):
    db.run(f"CREATE PUBLICATION {db.name} FOR TABLE t")
    source = db.source(publication=Owned(name=db.name, create=False))
    with pytest.raises(SourceError, match="does not publish partitions as their root") as refused:
        source.prepare()
    source.close()
    db.run(refused.value.fix)
    with started(db.source(publication=Owned(name=db.name, create=False))) as source:
        db.run("INSERT INTO t1 VALUES (1) ON CONFLICT DO NOTHING; INSERT INTO t2 VALUES (2)")
        assert [(e.table.name, e.after) for e in changes(read_all(source))] == [("t", (b"2",))]


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
        assert looks_and_reads(source) == {}
