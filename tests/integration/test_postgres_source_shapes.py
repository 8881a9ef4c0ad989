"""Transactions and tables of unusual shapes, in the stream of a real server and in its chunks."""

from __future__ import annotations

import pytest

from schemas.block import Op
from tests.support.postgres_source import Database
from tests.support.sources import changes, found, read_all, snapshot, started

pytestmark = pytest.mark.live

#: PostgreSQL's limit.
MOST_COLUMNS = 1_600


@pytest.fixture
def db(source_db, pipeline_name):
    return Database(source_db, pipeline_name)


def test_a_truncate_of_several_tables_empties_each_also_those_that_cascade(db):
    db.run(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY)",
        "CREATE TABLE child (id int PRIMARY KEY REFERENCES a)",
    )
    with started(db.source()) as source:
        db.run("TRUNCATE a, b CASCADE", "INSERT INTO c VALUES (1)")
        batch = read_all(source)

    assert sorted((e.table.name, e.op) for e in changes(batch)) == [
        ("a", Op.TRUNCATE), ("b", Op.TRUNCATE), ("c", Op.CREATE), ("child", Op.TRUNCATE)
    ]  # fmt: skip


def test_what_was_rolled_back_does_not_come_and_what_a_savepoint_kept_does(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        db.run("BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
        db.run("BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s; INSERT INTO t VALUES (3); ROLLBACK TO s")
        db.run("SAVEPOINT u; INSERT INTO t VALUES (4); RELEASE u; INSERT INTO t VALUES (5); COMMIT")
        events = changes(read_all(source))

    assert [(e.after, e.last) for e in events] == [((b"2",), False), ((b"4",), False), ((b"5",), True)]


def test_a_prepared_transaction_comes_when_it_is_committed(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        for gid, row in (("kept", 1), ("given up", 2)):
            db.run("BEGIN", f"INSERT INTO t VALUES ({row})", f"PREPARE TRANSACTION '{db.name} {gid}'")
        db.run("INSERT INTO t VALUES (3)")
        before = [e.after for e in changes(read_all(source))]
        db.run(f"COMMIT PREPARED '{db.name} kept'", f"ROLLBACK PREPARED '{db.name} given up'")
        after = [e.after for e in changes(read_all(source))]

    assert (before, after) == ([(b"3",)], [(b"1",)])


def test_rows_that_were_copied_in_are_the_rows_of_one_transaction(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with started(db.source()) as source:
        with db.conn.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write(b"".join(b"%d\t\\N\n" % i for i in range(500)))
        events = changes(read_all(source))

    assert [e.after for e in events] == [(b"%d" % i, None) for i in range(500)]
    assert [e.last for e in events] == [False] * 499 + [True]


def test_a_table_of_as_many_columns_as_there_can_be_is_read_and_streamed(db, tmp_path):
    columns = ", ".join(f"c{i} int DEFAULT {i}" for i in range(1, MOST_COLUMNS))
    db.run(f"CREATE TABLE t (c0 int PRIMARY KEY, {columns})")
    with started(db.source()) as source:
        db.run("INSERT INTO t (c0) VALUES (0)")
        [event] = changes(read_all(source))
        assert event.after == tuple(b"%d" % i for i in range(MOST_COLUMNS))
        assert snapshot(source, found(source, "t"), tmp_path) == [event.after]


def test_the_slot_is_one_that_standbys_keep_where_the_server_has_such_slots(db):
    with started(db.source()):
        kept = db.value(f"SELECT to_jsonb(s) -> 'failover' FROM pg_replication_slots s WHERE slot_name = '{db.name}'")

    assert kept is (True if db.conn.info.server_version >= 170_000 else None)
