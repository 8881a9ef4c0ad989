"""What the server itself may do to the history: drop the log that the slot needs, and give way to a standby."""

from __future__ import annotations

import time

import pytest

from capture.source import HistoryLost, SourceUnavailable
from operate.local.postgresql import PostgreSQL
from tests.support.databases import fresh_database, with_database
from tests.support.patience import PATIENCE_S
from tests.support.postgres_source import Database, begins_anew
from tests.support.sources import changes, read_all, started
from tests.support.standby import SLOT, Standby

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def primary(source_server, tmp_path_factory):
    """A server of this module alone, whose settings may be changed. (``source_server``: there are servers here.)"""
    server = PostgreSQL(tmp_path_factory.mktemp("primary"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def db(primary, pipeline_name):
    with fresh_database(primary.address, "source") as url:
        yield Database(url, pipeline_name)


def test_a_slot_whose_log_the_server_dropped_is_lost_history(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    db.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'", "SELECT pg_reload_conf()")
    try:
        with started(db.source()) as source:
            saved, identity = read_all(source).resume, source.identity
            db.run("INSERT INTO t VALUES (1)")
            status = f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{db.name}'"
            wait_for(lambda: db.value(status) == "lost", lambda: db.run("SELECT pg_switch_wal()", "CHECKPOINT"))
            with pytest.raises(SourceUnavailable):
                read_all(source)
    finally:
        db.run("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")

    begins_anew(db, saved, identity, "invalidated")


def test_a_promoted_standby_is_read_on_from_unless_it_lacks_what_was_read(primary, db, tmp_path):
    if db.conn.info.server_version < 170_000:
        pytest.skip("failover slots came with PostgreSQL 17")
    name = db.conn.info.dbname
    db.run("CREATE TABLE t (id int PRIMARY KEY)", f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    standby = Standby(tmp_path / "standby", primary, name)
    try:
        with started(db.source()) as source:
            db.run("INSERT INTO t VALUES (1)")
            saved, identity = read_all(source).resume, source.identity
            standby.start()
            copy = Database(with_database(standby.address, name), db.name)
            kept = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{db.name}' AND NOT temporary"
            places = [saved]
            wait_for(lambda: copy.value(kept) == 1, lambda: places.append(move_on(source, db, copy)))
            saved = places[-1]
            db.run("INSERT INTO t VALUES (2)")
            arrived = "SELECT count(*) FROM t WHERE id = 2"
            wait_for(lambda: copy.value(arrived) == 1)
            # From here on the standby gets nothing, and the source is read further than it knows.
            copy.run("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
            following = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
            wait_for(lambda: not db.value(following))
            db.run("INSERT INTO t VALUES (3)")
            ahead = read_all(source).resume
        copy.run("SELECT pg_promote(true, 60)")

        with pytest.raises(HistoryLost, match="timeline 1 was left at"), started(copy.source(), ahead, identity):
            pass
        with started(copy.source(), saved, identity) as source:
            assert source.identity["timeline"] == 2
            copy.run("INSERT INTO t VALUES (4)")
            assert [e.after for e in changes(read_all(source))] == [(b"2",), (b"4",)]
    finally:
        standby.remove()


def move_on(source, db, copy):
    """Let the standby take the slot over, which it does once that has come to where the standby began; return where."""
    db.run("SELECT pg_log_standby_snapshot()")
    saved = read_all(source).resume
    source.confirm(saved)
    source.keep_alive()
    received = "SELECT pg_last_wal_receive_lsn() - '0/0'"
    wait_for(lambda: copy.value(received) >= saved["lsn"])  # a slot that is ahead of the standby is an error there
    copy.run("SELECT pg_sync_replication_slots()")
    return saved


def wait_for(condition, meanwhile=lambda: None):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        meanwhile()
        time.sleep(0.05)
