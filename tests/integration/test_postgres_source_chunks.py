"""Chunks of a real server: exactly known visibility, and void when the table moved."""

from __future__ import annotations

import pickle

import psycopg
import pytest

from capture.source import SourceError
from capture.sources.postgres import catalog
from schemas.block import Transaction
from tests.support.postgres_source import Database
from tests.support.sources import changes, chunk_rows, found, read_all, read_chunk, snapshot, started

pytestmark = pytest.mark.live


@pytest.fixture
def db(source_db, pipeline_name):
    return Database(source_db, pipeline_name)


@pytest.fixture
def spool(tmp_path):
    return tmp_path


def transaction(db, xid):
    return Transaction(0, 0, str(int(xid) % 2**32))


def test_a_chunk_knows_exactly_which_transactions_it_saw(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source, db.second() as running:
        table = found(source, "t")
        over = db.value("INSERT INTO t VALUES (1) RETURNING pg_current_xact_id()::text")
        row = running.execute("INSERT INTO t VALUES (2) RETURNING pg_current_xact_id()::text").fetchone()
        fence = source.fence()
        assert not source.settled(fence)
        chunk = read_chunk(source, table, spool)
        running.commit()
        later = db.value("INSERT INTO t VALUES (3) RETURNING pg_current_xact_id()::text")

        assert chunk_rows(source, chunk) == [(b"1",)]
        seen = [chunk.visibility.includes(transaction(db, xid)) for xid in (over, row[0], later)]
        assert seen == [True, False, False]
        assert not chunk.visibility.after(fence)
        assert source.settled(fence)
        assert read_chunk(source, table, spool).visibility.after(fence)


def test_what_runs_in_another_database_holds_no_chunk_up(db, spool, source_server):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source, psycopg.connect(source_server) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        fence = source.fence()
        assert source.settled(fence)
        assert read_chunk(source, found(source, "t"), spool).visibility.after(fence)


def test_a_prepared_transaction_holds_chunks_up_until_it_is_over(db, spool):
    if db.value("SELECT current_setting('max_prepared_transactions')") == "0":
        pytest.skip("the server has max_prepared_transactions = 0")
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        db.run("BEGIN", "INSERT INTO t VALUES (1)", f"PREPARE TRANSACTION '{db.name}'")
        fence = source.fence()
        assert not source.settled(fence)
        db.run(f"COMMIT PREPARED '{db.name}'")
        assert source.settled(fence)
        assert changes(read_all(source))[0].after == (b"1",)


def test_nothing_slips_in_between_a_chunk_s_snapshot_and_its_rows(db, spool, monkeypatch):
    """Without the lock an ALTER would make COPY return no rows; without the snapshot later rows would come too."""
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '1')", "SET lock_timeout = '100ms'")
    leaves = catalog.leaves

    def meanwhile(*arguments):
        db.run("INSERT INTO t VALUES (2, '2')")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            db.run("ALTER TABLE t ALTER v TYPE int USING v::int")
        return leaves(*arguments)

    with started(db.source()) as source:
        table = found(source, "t")
        plan = source.plan(table)[0]
        monkeypatch.setattr(catalog, "leaves", meanwhile)
        assert chunk_rows(source, read_chunk(source, table, spool, plan=plan)) == [(b"1", b"1")]


def test_a_chunk_and_its_request_travel_between_processes(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    with started(db.source()) as source:
        access = pickle.loads(pickle.dumps(source.connection()))
        chunk = pickle.loads(pickle.dumps(read_chunk(source, found(source, "t"), spool)))

        assert access == source.connection()
        assert "password" not in repr(access)
        assert db.url not in repr(access)
        assert chunk_rows(source, chunk) == [(b"1",)]


def test_the_stream_must_pass_the_place_where_a_chunk_was_read(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        read_all(source)
        db.run("INSERT INTO t VALUES (1)")
        chunk = read_chunk(source, found(source, "t"), spool)
        assert not source.passed(chunk.upto)
        read_all(source)
        assert source.passed(chunk.upto)


def test_chunks_cover_a_table_and_rows_that_move_into_the_open_end(db, spool):
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i"
    )
    db.run("ANALYZE t")
    with started(db.source(snapshot={"chunk_rows": 300})) as source:
        table = found(source, "t")
        plan, chunks, estimate = source.plan(table)
        db.run("INSERT INTO t SELECT i, '' FROM generate_series(2001, 9000) i")
        rows = [r for i in range(chunks) for r in chunk_rows(source, read_chunk(source, table, spool, i, plan=plan))]

    assert chunks > 5
    assert estimate == 2000
    assert sorted(int(row[0]) for row in rows) == list(range(1, 9001))


def test_a_rewritten_table_voids_its_plan(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    with started(db.source()) as source:
        table = found(source, "t")
        plan = source.plan(table)[0]
        assert not read_chunk(source, table, spool, plan=plan).stale
        db.run("VACUUM FULL t")
        chunk = read_chunk(source, table, spool, plan=plan)

        assert (chunk.stale, chunk.path) == (True, None)
        assert not read_chunk(source, table, spool).stale
    assert len(list(spool.iterdir())) == 2


def test_rows_are_read_again_by_key_whatever_the_key_holds(db, spool):
    db.run("CREATE TABLE t (a text, b numeric(5,1), c bytea, v int, PRIMARY KEY (b, a, c))")
    with started(db.source()) as source:
        odd = ["it's", "\\", "a\tb", "", "E'x'", "é"]
        for i, a in enumerate(odd):
            db.conn.execute("INSERT INTO t VALUES (%s, 1.5, '\\x5c00', %s)", [a, i])
        keys = [("1.5", a, "\\x5c00") for a in odd]
        chunk = read_chunk(source, found(source, "t"), spool, keys=(*keys[:4], ("9.9", "none", "\\x")))

        assert sorted(int(row[3]) for row in chunk_rows(source, chunk)) == [0, 1, 2, 3]
        assert chunk.rows == 4


def test_a_table_without_a_key_is_one_chunk(db, spool):
    db.run(
        "CREATE TABLE t (v int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t SELECT 1 FROM generate_series(1, 5000)"
    )
    with started(db.source(snapshot={"chunk_rows": 10})) as source:
        table = found(source, "t")
        assert (table.keyless, source.plan(table)[1]) == (True, 1)
        assert snapshot(source, table, spool) == [(b"1",)] * 5000


def test_a_partitioned_table_is_read_leaf_by_leaf_and_streams_as_its_root(db, spool):
    db.run(
        "CREATE TABLE t (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE t2 (v text, gone int, id int NOT NULL); ALTER TABLE t2 DROP gone",
        "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (100) TO (200)",
        "INSERT INTO t SELECT i, 'v' FROM generate_series(50, 149) i",
    )
    with started(db.source()) as source:
        assert [table.table for table in source.tables()] == ["t"]
        table = found(source, "t")
        plan = source.plan(table)[0]
        assert sorted(int(row[0]) for row in snapshot(source, table, spool)) == list(range(50, 150))
        db.run("UPDATE t SET id = 150 WHERE id = 50", "INSERT INTO t2 VALUES ('w', 199)")
        assert {event.table.name for event in changes(read_all(source))} == {"t"}

        db.run("CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (300)")
        assert read_chunk(source, table, spool, plan=plan).stale


def test_a_partition_with_another_replica_identity_is_told_with_its_cure(db):
    db.run(
        "CREATE TABLE t (v int) PARTITION BY LIST (v); ALTER TABLE t REPLICA IDENTITY FULL",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
    )
    with started(db.source()) as source:
        table = found(source, "t")
        assert "partitions" in table.reason
        db.run(table.fix)
        assert found(source, "t").reason is None


def test_a_table_that_inherits_is_captured_for_itself(db, spool):
    db.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (PRIMARY KEY (id)) INHERITS (p)")
    db.run("INSERT INTO p VALUES (1); INSERT INTO c VALUES (2)")
    with started(db.source()) as source:
        assert snapshot(source, found(source, "p"), spool) == [(b"1",)]
        assert snapshot(source, found(source, "c"), spool) == [(b"2",)]


def test_generated_columns_are_in_neither_chunk_nor_stream(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED)")
    with started(db.source()) as source:
        db.run("INSERT INTO t VALUES (1)")
        [event] = changes(read_all(source))
        chunk = read_chunk(source, found(source, "t"), spool)

        assert event.after == (b"1",)
        assert chunk_rows(source, chunk) == [(b"1",)]
        assert event.table == chunk.schema


def test_row_security_that_hides_rows_is_an_error_and_not_a_smaller_table(db, spool):
    role = f"s_{db.name[-8:]}"
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)",
        f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'x'; GRANT SELECT ON t TO {role}",
        f"GRANT CREATE ON DATABASE {db.value('SELECT current_database()')} TO {role}",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false)",
    )
    head, _, tail = db.url.partition("://")
    try:
        with started(db.source(url=f"{head}://{role}:x@{tail.rpartition('@')[2]}")) as source:
            table = found(source, "t")
            assert "row security" in table.reason
            with pytest.raises(SourceError):
                read_chunk(source, table, spool)
            assert list(spool.iterdir()) == []
    finally:
        db.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_table_that_was_dropped_or_made_anew_is_an_error(db, spool):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        table = found(source, "t")
        plan = source.plan(table)[0]
        db.run("DROP TABLE t")
        with pytest.raises(SourceError):
            read_chunk(source, table, spool, plan=plan)
        db.run("CREATE TABLE t (id int PRIMARY KEY)")
        with pytest.raises(SourceError):
            read_chunk(source, table, spool, plan=plan)
        assert found(source, "t").identity != table.identity
