"""Where a stream of MySQL and MariaDB can be resumed, and when its history is lost."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from capture.source import HistoryLost, SourceUnavailable
from tests.support.daemons_pipeline import until
from tests.support.mysql_source import Database
from tests.support.sources import changes, identity_of, read_all, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def db(mysql_kind_db: str, pipeline_name: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, pipeline_name)
    made.run("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE keyless (id int)")
    yield made
    made.close()


def ids(batch, table="t"):
    return [int(e.after[0]) for e in changes(batch, table)]


def saved(db: Database):
    """Identity and resume point behind one row."""
    identity = identity_of(db.source())
    with started(db.source()) as source:
        db.run("INSERT INTO t VALUES (1)")
        return identity, read_all(source).resume


def lost(db: Database, identity, resume) -> str:
    source = db.source()
    try:
        source.prepare()
        with pytest.raises(HistoryLost) as caught:
            source.start(resume, identity)
        source.start(None, identity)  # and from now on it goes
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (99)")
        assert ids(read_all(source)) == [99]
    finally:
        source.close()
    return caught.value.what


def test_the_stream_goes_on_over_the_files_of_the_log(db):
    identity, resume = saved(db)
    db.run("FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    with started(db.source(), resume, identity) as source:
        first = read_all(source)
        assert ids(first) == [2]
        db.run("FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
        second = read_all(source)
        assert ids(second) == [3]
    with started(db.source(), second.resume, identity) as source:
        assert ids(read_all(source)) == []
        db.run("INSERT INTO t VALUES (4)")
        third = read_all(source)
        assert ids(third) == [4]
    orders = [e.order for batch in (first, second, third) for e in changes(batch)]
    assert orders == sorted(set(orders))


def test_the_same_transactions_read_again_have_the_same_order_keys(db):
    identity, resume = saved(db)
    db.run(
        "INSERT INTO t VALUES (2)", "INSERT INTO keyless VALUES (7)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)"
    )
    read = []
    for _ in range(2):
        with started(db.source(), resume, identity) as source:
            read.append([(e.order, e.transaction, e.after) for e in changes(read_all(source))])
    assert len(read[0]) == 3
    assert read[0] == read[1]


def test_a_log_that_was_purged_is_lost_history(db):
    identity, resume = saved(db)
    db.run("INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS")
    while len(logs := db.rows("SHOW BINARY LOGS")) > 1:  # until the server notices that the stream is over
        db.run(f"PURGE BINARY LOGS TO '{logs[-1][0]}'")
    assert "purged" in lost(db, identity, resume) or "1236" in lost(db, identity, resume)


def test_a_log_that_was_reset_is_lost_history(db):
    identity, resume = saved(db)
    try:
        db.run("RESET BINARY LOGS AND GTIDS")
    except Exception:  # noqa: BLE001 - before MySQL 8.2, and MariaDB
        db.run("RESET MASTER")
    db.run("INSERT INTO t VALUES (2)")
    lost(db, identity, resume)


def test_a_server_that_lacks_what_was_read_is_lost_history(db):
    identity, resume = saved(db)
    ahead = resume["gtids"].rsplit("-", 1)[0] + "-999999999"
    assert "lacks transactions" in lost(db, identity, resume | {"gtids": ahead})


def test_on_another_server_that_has_everything_the_stream_goes_on_by_transaction_ids(db):
    identity, resume = saved(db)
    db.run("INSERT INTO t VALUES (2)", "INSERT INTO keyless VALUES (7)")
    moved = identity | {"server": "another"}
    with started(db.source(), resume, identity) as source:
        before = changes(read_all(source))
    with started(db.source(), resume, moved) as source:
        held = source.read(1_000, 0.1)
        # Nothing carries the new epoch before it is saved.
        assert held.blocks == [] and held.between and held.resume["epoch"] == resume["epoch"] + 1  # noqa: PT018
        assert list(held.lost) == [f"{db.database}.keyless"]
        source.confirm(held.resume)
        batch = read_all(source)
        again = changes(batch)
        assert [e.after for e in again] == [e.after for e in before]
        assert min(e.order for e in again) > max(e.order for e in before)
        assert source.passed(source.now())
    # What was saved there is the place to go on, on that server.
    with started(db.source(), batch.resume, identity) as source:
        assert changes(read_all(source)) == []
    with started(db.source(), held.resume, identity) as source:
        assert [e.order for e in changes(read_all(source))] == [e.order for e in again]


def test_a_stream_by_transaction_ids_that_stays_idle_passes_a_mark(db):
    identity, resume = saved(db)
    with started(db.source(), resume, identity | {"server": "another"}) as source:
        source.confirm(source.read(1_000, 0.1).resume)
        mark = source.now()
        read_all(source)
        assert source.passed(mark)


def test_a_second_capture_of_the_pipeline_waits_until_the_first_is_gone(db):
    first, second = db.source(), db.source()
    try:
        first.start(None, first.prepare())
        identity = second.prepare()
        with pytest.raises(SourceUnavailable, match="another capture"):
            second.start(None, identity)
        first.close()
        second.start(None, identity)
    finally:
        first.close()
        second.close()


def test_another_replica_with_our_number_ends_the_stream_and_is_named_where_the_server_tells(db, mysql_kind):
    other = Database(db.url, "another")
    with started(db.source(server_id=77)) as source, started(other.source(server_id=77)) as cuckoo:
        read_all(cuckoo)
        with pytest.raises(SourceUnavailable) as caught:
            deque((source.read(1_000, 1.0) for _ in range(100)), 0)
        if mysql_kind == "mysql":
            assert "source.server_id" in caught.value.fix
    other.close()


@pytest.mark.mysql
def test_a_transaction_that_was_committing_when_a_stream_began_is_known_after_a_failover(mysql_db, pipeline_name):
    """Read again behind a later change of the same row, it would set that row back."""
    db = Database(mysql_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    identity = identity_of(db.source())
    with committing(db, "INSERT INTO t VALUES (1, 'first')") as finish, started(db.source()) as source:
        finish()
        db.run("UPDATE t SET v = 'later'")
        batch = read_all(source)
    assert changes(batch)[-1].after == (b"1", b"later")
    with started(db.source(), batch.resume, identity | {"server": "another"}) as source:
        source.confirm(source.read(1_000, 0.1).resume)
        assert changes(read_all(source)) == []
    db.close()


@contextmanager
def committing(db: Database, statement: str) -> Iterator[Callable[[], None]]:
    """Hold a transaction between the log and its commit, as semi-synchronous replication does; gives what ends that."""
    db.run("INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'")
    names = [f"@@global.rpl_semi_sync_source_{name}" for name in ("timeout", "wait_point", "enabled")]
    db.run(f"SET {names[0]} = 600000, {names[1]} = 'AFTER_SYNC', {names[2]} = ON")
    before = db.value("SELECT @@global.gtid_executed")
    thread = threading.Thread(target=_alone, args=(db, statement))

    def finish() -> None:
        db.run(f"SET {names[2]} = OFF")
        thread.join(30)

    try:
        mark = db.rows("SHOW BINARY LOG STATUS")[0][1]
        thread.start()
        until(lambda: db.rows("SHOW BINARY LOG STATUS")[0][1] != mark, "the transaction is in the log")
        assert db.value("SELECT @@global.gtid_executed") == before, "it was executed already"
        yield finish
    finally:
        finish()
        db.run("UNINSTALL PLUGIN rpl_semi_sync_source")


def _alone(db: Database, statement: str) -> None:
    with db.second() as other, other.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.mysql
def test_transactions_with_tags_are_read_and_counted_like_others(mysql_db, pipeline_name):
    db = Database(mysql_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    identity, resume = saved(db)
    db.run("SET SESSION gtid_next = 'AUTOMATIC:billing'", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)")
    db.run("SET SESSION gtid_next = 'AUTOMATIC'", "INSERT INTO t VALUES (4)")
    with started(db.source(), resume, identity) as source:
        batch = read_all(source)
        assert ids(batch) == [2, 3, 4]
        assert ":billing:" in batch.blocks[0].transactions[0].id
        assert ":billing:" in batch.resume["gtids"]
        assert abs(batch.blocks[0].transactions[0].committed_us - batch.blocks[0].transactions[2].committed_us) < 60e6
    db.run("INSERT INTO t VALUES (5)")
    with started(db.source(), batch.resume, identity | {"server": "another"}) as source:  # by the whole set
        source.confirm(source.read(1_000, 0.1).resume)
        assert ids(read_all(source)) == [5]
    db.close()
