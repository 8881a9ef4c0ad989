"""The slot and its history: what is lost when somebody else touches it, and who waits for whom."""

from __future__ import annotations

import pytest

from capture.source import HistoryLost, SourceError, SourceUnavailable
from runtime.config import Owned
from tests.support.postgres_source import Database, begins_anew
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

    begins_anew(db, saved, identity)


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


ALTERED = {
    "operations": "ALTER PUBLICATION {p} SET (publish = 'insert')",
    "roots": "ALTER PUBLICATION {p} SET (publish_via_partition_root = false)",
}
MENDED = "ALTER PUBLICATION {p} SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"


@pytest.mark.parametrize("harm", ALTERED)
def test_a_publication_that_was_altered_by_somebody_else_is_an_error_and_loses_its_tables(db, harm):
    """What it left out meanwhile is in no message."""
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with started(db.source()) as source:
        read_all(source)
        db.run(ALTERED[harm].replace("{p}", db.name), "DELETE FROM t")
        with pytest.raises(SourceError, match="publication") as refused:
            source.tables()
        assert not isinstance(refused.value, SourceUnavailable)
        db.run(refused.value.fix)
        source.tables()
        assert "publication was altered" in read_all(source).lost["public.t"]
        source.schema(source.tables()[0])  # a new snapshot opens
        source.tables()
        assert read_all(source).lost == {}


def test_a_publication_that_was_altered_and_mended_while_capture_was_down_has_lost_its_tables(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with started(db.source()) as source:
        source.tables()
        saved, identity = read_all(source).resume, source.identity
    wait_released(db)
    harm, mend = (text.replace("{p}", db.name) for text in (ALTERED["operations"], MENDED))
    db.run(harm, "DELETE FROM t", mend)

    source = db.source()
    try:
        source.prepare()
        source.start(saved, identity)
        source.tables()
        assert list(read_all(source).lost) == ["public.t"]
    finally:
        source.close()


def test_a_table_that_was_taken_out_of_the_publication_and_put_back_has_lost_its_changes(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    with started(db.source()) as source:
        source.tables()
        read_all(source)
        db.run(f"ALTER PUBLICATION {db.name} DROP TABLE t", "INSERT INTO t VALUES (1)")
        db.run(f"ALTER PUBLICATION {db.name} ADD TABLE t")
        assert source.publish(source.tables()) is False
        assert list(read_all(source).lost) == ["public.t"]


def test_a_table_that_a_dba_took_out_and_put_back_has_lost_its_changes(db):
    """Also when it was seen to be out of the publication: without what was left out it must not go on."""
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    db.run(f"CREATE PUBLICATION {db.name} FOR TABLE t, u WITH (publish_via_partition_root = true)")
    with started(db.source(publication=Owned(name=db.name, create=False))) as source:
        source.tables()
        read_all(source)
        db.run(f"ALTER PUBLICATION {db.name} DROP TABLE t", "INSERT INTO t VALUES (1)")
        assert [(t.table, t.reason is None) for t in source.tables()] == [("t", False), ("u", True)]
        assert read_all(source).lost == {}
        db.run(f"ALTER PUBLICATION {db.name} ADD TABLE t")
        assert [(t.table, t.reason is None) for t in source.tables()] == [("t", True), ("u", True)]
        assert list(read_all(source).lost) == ["public.t"]


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
