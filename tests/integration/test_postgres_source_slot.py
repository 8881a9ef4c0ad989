"""The slot and its history: what is lost when somebody else touches it, and who waits for whom."""

from __future__ import annotations

import pytest

from capture.source import HistoryLost, SourceUnavailable
from tests.support.postgres_source import Database
from tests.support.sources import changes, read_all, started

pytestmark = pytest.mark.live


@pytest.fixture
def db(source_db, pipeline_name):
    return Database(source_db, pipeline_name)


def test_a_slot_that_was_moved_ahead_is_lost_history(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        saved, identity = read_all(source).resume, source.identity
    db.run("INSERT INTO t VALUES (1)")
    wait_released(db)
    db.run(f"SELECT pg_replication_slot_advance('{db.name}', pg_current_wal_lsn())")

    source = db.source()
    try:
        now = source.prepare()
        with pytest.raises(HistoryLost):
            source.start(saved, identity)
        source.start(None, now)  # as capture goes on, with every table to be snapshotted anew
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (2)")
        assert [e.after for e in changes(read_all(source))] == [(b"2",)]
    finally:
        source.close()


def test_a_slot_that_was_dropped_is_made_anew_and_its_history_is_lost(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        saved, identity = read_all(source).resume, source.identity
    wait_released(db)
    db.run(f"SELECT pg_drop_replication_slot('{db.name}')", "INSERT INTO t VALUES (1)")

    source = db.source()
    try:
        source.prepare()
        with pytest.raises(HistoryLost):
            source.start(saved, identity)
    finally:
        source.close()


def test_a_publication_that_was_dropped_takes_its_slot_with_it(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        saved, identity = read_all(source).resume, source.identity
        db.run(f"DROP PUBLICATION {db.name}", "INSERT INTO t VALUES (1)")
        with pytest.raises(SourceUnavailable):
            source.tables()

    source = db.source()
    try:
        now = source.prepare()
        with pytest.raises(HistoryLost):
            source.start(saved, identity)
        source.start(None, now)
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (2)")
        assert [e.after for e in changes(read_all(source))] == [(b"2",)]
    finally:
        source.close()


def test_a_publication_made_anew_by_somebody_else_takes_its_slot_with_it(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        saved, identity = read_all(source).resume, source.identity
    db.run("INSERT INTO t VALUES (1)", f"DROP PUBLICATION {db.name}", "INSERT INTO t VALUES (2)")
    wait_released(db)
    db.run(f"CREATE PUBLICATION {db.name} WITH (publish_via_partition_root = true)")

    source = db.source()
    try:
        now = source.prepare()
        with pytest.raises(HistoryLost, match="publication"):
            source.start(saved, identity)
        source.start(None, now)
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (3)")
        assert [e.after for e in changes(read_all(source))] == [(b"3",)]
    finally:
        source.close()


def test_a_position_of_another_server_is_lost_history(db):
    with started(db.source()) as source:
        saved, identity = read_all(source).resume, source.identity
    source = db.source()
    try:
        source.prepare()
        with pytest.raises(HistoryLost):
            source.start(saved, {**identity, "system_id": "1"})
    finally:
        source.close()


def test_a_second_capture_waits_for_the_slot(db):
    with started(db.source()) as first:
        saved, identity = read_all(first).resume, first.identity
        second = db.source(patience_seconds=0.3)
        second.prepare()
        with pytest.raises(SourceUnavailable, match="take turns"):
            second.start(saved, identity)
        second.close()
        read_all(first)


def test_a_slot_waits_for_running_transactions_and_names_them(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with db.second() as running:
        running.execute("INSERT INTO t VALUES (1)")
        pid = running.info.backend_pid
        source = db.source(slot_timeout_seconds=0.3)
        with pytest.raises(SourceUnavailable, match=f"pid {pid}"):
            source.prepare()
        source.close()
    with started(db.source()) as source:
        read_all(source)


def with_role(url, role):
    head, _, tail = url.partition("://")
    return f"{head}://{role}:x@{tail.rpartition('@')[2]}"


def wait_released(db):
    """A closed connection's slot is free as soon as the server has noticed."""
    query = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{db.name}' AND active"
    while db.value(query):
        pass
