"""Chunks of a real server: the same bytes as the stream, exactly known visibility, and void when the table moved."""

from __future__ import annotations

import pickle

import psycopg
import pytest

from capture.source import SourceError
from capture.sources.postgres import catalog
from schemas.block import Transaction
from schemas.table import Kind
from schemas.values import Verbatim
from tests.support.postgres_source import Database
from tests.support.sources import changes, chunk_rows, found, read_all, read_chunk, snapshot, started

pytestmark = pytest.mark.live

#: Everything that changes how a value is written, as hostile as a role and a database can have it.
HOSTILE = [
    "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "extra_float_digits = -5",
    "bytea_output = 'escape'", "search_path = 'odd, public'", "lc_monetary = 'C'", "xmloption = 'document'",
    "standard_conforming_strings = off", "statement_timeout = '1ms'", "default_transaction_isolation = 'serializable'",
]  # fmt: skip

#: SQL type -> literals; NULL is tried for all.
TYPES = {
    "bool": ["true", "false"],
    "int2": ["-32768"], "int4": ["2147483647"], "int8": ["-9223372036854775808"], "oid": ["4294967295"],
    "float4": ["'1.1'", "'NaN'", "'-Infinity'", "'-0'", "'1e-40'"],
    "float8": ["0.1", "'NaN'", "'Infinity'", "1e308", "'5e-324'", "0.1::float8 + 0.2"],
    "numeric": ["1.50", "'NaN'", "'Infinity'", "12345678901234567890.1234567890", "1e-30", "1e30"],
    "numeric(12,3)": ["1.5", "-999999999.999", "'NaN'", "0"],
    "text": ["''", r"E'a\tb\nc\\d\re'", "'\\N'", r"E'\u00e9\U0001F600'", "repeat('x', 10000)"],
    "varchar(5)": ["'ab'"], "char(5)": ["'ab'"], '"char"': ["'c'"], "name": ["'n'"],
    "bytea": [r"'\x00ff5c'", "''"],
    "date": ["'2024-02-29'", "'infinity'", "'0044-03-15 BC'", "'12024-01-01'", "'0001-01-01'"],
    "time": ["'12:34:56.789'", "'24:00:00'", "'00:00:00'"], "time(0)": ["'12:34:56.789'"],
    "timetz": ["'12:34:56.7+05:30'", "'24:00:00-02'", "'12:00:00+01:02:03'"],
    "timestamp": ["'2024-02-29 12:34:56.000001'", "'-infinity'", "'0044-03-15 01:02:03 BC'", "'294276-01-01'"],
    "timestamp(3)": ["'2024-02-29 12:34:56.987654'"],
    "timestamptz": ["'2024-02-29 12:34:56.5+05:45'", "'infinity'", "'0044-03-15 01:02:03+00 BC'", "'1900-01-01 00:00+0'"],
    "interval": ["'1 year -2 mons 3 days -04:05:06.7'", "'0'", "'-1.5 hours'"],
    "json": ["""'{"a":  1.00}'"""], "jsonb": ["""'{"b": [1, null], "a": "\\u00e9"}'"""],
    "uuid": ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
    "bit(11)": ["B'10000000001'"], "varbit": ["B'101'", "B''"],
    "int4[]": ["'{1,NULL,3}'", "'[2:3]={1,2}'", "'{{1,2},{3,4}}'"], "text[]": [r"""ARRAY['a,"b', NULL, 'NULL', E'c\\']"""],
    "timestamptz[]": ["ARRAY['2024-01-01 00:00+3'::timestamptz]"], "bytea[]": [r"ARRAY['\x5c'::bytea]"],
    "int4range": ["'[1,5)'", "'empty'"], "tstzrange": ["'[2024-01-01 00:00+3,)'"], "int4multirange": ["'{[1,2),[5,7)}'"],
    "inet": ["'10.0.0.1/8'", "'::1'"], "cidr": ["'10.0.0.0/8'"], "macaddr": ["'08:00:2b:01:02:03'"],
    "money": ["'-1234.56'"], "point": ["'(1.1,2)'"], "polygon": ["'((0,0),(1,1))'"], "box": ["'((0,0),(1,1))'"],
    "tsvector": ["'a:1A fat'"], "tsquery": ["'a & b'"], "pg_lsn": ["'1/2'"], "regclass": ["'odd.thing'"],
    "odd.mood": ["'so so'"], "odd.mood[]": ["""ARRAY['so so'::odd.mood]"""], "odd.small": ["12.5"],
    "odd.pair": ["ROW(1, 'a b')"], "odd.tags": ["'{a}'"],
}  # fmt: skip


@pytest.fixture
def db(source_db, pipeline_name):
    return Database(source_db, pipeline_name)


@pytest.fixture
def spool(tmp_path):
    return tmp_path


def hostile_role(db):
    """Make a role whose sessions write values in the oddest way, and a config that logs in as it."""
    role = f"h_{db.name[-8:]}"
    db.run(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'x'")
    for setting in HOSTILE:
        db.run(f"ALTER ROLE {role} SET {setting}")
    head, _, tail = db.url.partition("://")
    return role, f"{head}://{role}:x@{tail.rpartition('@')[2]}"


def test_a_chunk_holds_the_very_bytes_of_the_stream_whatever_the_role_is_set_to(db, spool):
    db.run(
        "CREATE SCHEMA odd; CREATE TYPE odd.mood AS ENUM ('sad', 'so so'); CREATE TABLE odd.thing (id int PRIMARY KEY)",
        "CREATE DOMAIN odd.small AS numeric(6,2) CHECK (VALUE < 100); CREATE TYPE odd.pair AS (n int, t text)",
        "CREATE DOMAIN odd.tags AS text[]",
        "CREATE TABLE t (id int PRIMARY KEY, " + ", ".join(f"c{i} {kind}" for i, kind in enumerate(TYPES)) + ")",
    )
    role, url = hostile_role(db)
    try:
        with started(db.source(url=url)) as source:
            for n in range(1 + max(map(len, TYPES.values()))):
                literals = [f"({v[n]})::{kind}" if n < len(v) else "NULL" for kind, v in TYPES.items()]
                db.run(f"INSERT INTO t VALUES ({n}, {', '.join(literals)})")
            batch = read_all(source)
            table = found(source, "t")
            copied = snapshot(source, table, spool)
            assert copied == [event.after for event in changes(batch)]
            assert source.schema(table) == batch.blocks[-1].table == read_chunk(source, table, spool).schema
            assert_converts(source, batch.blocks[-1].table, copied)
    finally:
        db.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def assert_converts(source, schema, rows):
    """Every value has an Avro value or goes verbatim, and the oddest do so."""
    verbatim = set()
    for i, column in enumerate(schema.columns):
        convert = source.converter(column)
        values = [convert(row[i]) for row in rows if row[i] is not None]
        verbatim |= {str(v) for v in values if isinstance(v, Verbatim)}
    assert {"NaN", "infinity", "24:00:00", "0044-03-15 BC", "12024-01-01"} <= verbatim
    kinds = {column.target_type: column.type.kind for column in schema.columns}
    assert (kinds["odd.mood"], kinds["odd.small"], kinds["odd.pair"]) == (Kind.ENUM, Kind.DECIMAL, Kind.STRING)


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
