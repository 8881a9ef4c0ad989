"""What the stream of MySQL and MariaDB makes of every kind of statement, and when a table is given up instead."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from runtime import mysql
from schemas.block import Op
from tests.support.mysql_source import Database
from tests.support.sources import changes, found, read_all, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def db(mysql_kind_db: str, pipeline_name: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, pipeline_name)
    yield made
    made.close()


@pytest.fixture
def t(db: Database) -> Database:
    db.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(50))", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return db


def seen(batch, table="t"):
    """Operation, key before, key after of each event; and the values of the new row."""
    return [(e.op.value, e.before and e.before[0], e.after) for e in changes(batch, table)]


def test_statements_that_write_many_rows_in_their_own_ways_come_as_rows(t):
    t.run("CREATE TABLE u (id int PRIMARY KEY, w varchar(50))", "INSERT INTO u VALUES (1, 'x'), (2, 'y')")
    with started(t.source()) as source:
        t.run(
            "REPLACE INTO t VALUES (1, 'A')",
            "INSERT INTO t VALUES (2, 'B') ON DUPLICATE KEY UPDATE v = 'bb'",
            "INSERT INTO t SELECT id + 20, w FROM u",
            "UPDATE t JOIN u ON u.id + 20 = t.id SET t.v = 'joined', u.w = 'joined'",
            "DELETE t, u FROM t JOIN u ON u.id + 20 = t.id",
        )
        batch = read_all(source)

    assert seen(batch) == [
        ("u", b"1", (b"1", b"A")),
        ("u", b"2", (b"2", b"bb")),
        ("c", None, (b"21", b"x")), ("c", None, (b"22", b"y")),
        ("u", b"21", (b"21", b"joined")), ("u", b"22", (b"22", b"joined")),
        ("d", b"21", None), ("d", b"22", None),
    ]  # fmt: skip
    assert [op for op, *_ in seen(batch, "u")] == ["u", "u", "d", "d"]


def test_loaded_files_come_as_rows(t, tmp_path):
    file = tmp_path / "rows"
    file.write_text("10\tten\n2\tB\n11\t\\N\n")
    with started(t.source()) as source, mysql.connect(t.url, program_name="test", local_infile=True) as other:
        with other.cursor() as cursor:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' REPLACE INTO TABLE t")
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' IGNORE INTO TABLE t SET v = 'ignored'")
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t (id, @v) SET id = id + 40, v = upper(@v)")
        batch = read_all(source)
    assert seen(batch) == [
        ("c", None, (b"10", b"ten")), ("u", b"2", (b"2", b"B")), ("c", None, (b"11", None)),
        ("c", None, (b"50", b"TEN")), ("c", None, (b"42", b"B")), ("c", None, (b"51", None)),
    ]  # fmt: skip


def test_a_truncate_comes_between_the_rows_before_and_behind_it(t):
    with started(t.source()) as source:
        t.run("INSERT INTO t VALUES (4, 'd')", f"TRUNCATE TABLE `{t.database}`.`t`", "INSERT INTO t VALUES (5, 'e')")
        events = changes(read_all(source))
    assert [e.op for e in events] == [Op.CREATE, Op.TRUNCATE, Op.CREATE]
    assert [e.order for e in events] == sorted(e.order for e in events)
    assert all(e.last for e in events)


def test_a_rolled_back_transaction_and_rows_of_other_tables_are_not_there(t):
    t.run("CREATE TABLE other (id int PRIMARY KEY)")
    with started(t.source(include=f"{t.database}.t")) as source:
        t.run("BEGIN", "INSERT INTO t VALUES (7, 'gone')", "ROLLBACK")
        t.run("BEGIN", "INSERT INTO t VALUES (8, 'kept')", "SAVEPOINT s", "INSERT INTO t VALUES (9, 'gone')")
        t.run("ROLLBACK TO s", "INSERT INTO other VALUES (1)", "COMMIT")
        batch = read_all(source)
    assert seen(batch) == [("c", None, (b"8", b"kept"))]
    assert {block.table.name for block in batch.blocks} == {"t"}


def test_an_xa_transaction_counts_when_it_is_committed(t):
    with started(t.source()) as source:
        with t.second() as other, other.cursor() as cursor:
            for statement in ("XA START 'x'", "INSERT INTO t VALUES (7, 'xa')", "XA END 'x'", "XA PREPARE 'x'"):
                cursor.execute(statement)
        t.run("INSERT INTO t VALUES (8, 'meanwhile')")
        first = read_all(source)
        t.run("XA COMMIT 'x'")
        second = read_all(source)
    assert seen(first) == [("c", None, (b"8", b"meanwhile"))]
    assert seen(second) == [("c", None, (b"7", b"xa"))]
    assert changes(first)[0].order < changes(second)[0].order


def test_an_xa_transaction_that_was_prepared_before_a_restart_is_not_lost_by_it(t):
    source = t.source()
    identity = source.prepare()
    source.start(None, identity)
    source.publish(source.tables())
    with t.second() as other, other.cursor() as cursor:
        for statement in ("XA START 'y'", "INSERT INTO t VALUES (7, 'xa')", "XA END 'y'", "XA PREPARE 'y'"):
            cursor.execute(statement)
    t.run("INSERT INTO t VALUES (8, 'meanwhile')")
    saved = read_all(source)
    source.close()
    t.run("XA COMMIT 'y'")
    with started(t.source(), saved.resume, identity) as source:
        again = read_all(source)
    assert seen(again) == [("c", None, (b"8", b"meanwhile")), ("c", None, (b"7", b"xa"))]
    assert changes(again)[0].order == changes(saved)[0].order  # so it is known to have been there


def test_the_rows_of_a_large_xa_transaction_wait_in_a_file_and_come_in_parts(t):
    rows, at_once = 60_000, 5_000
    with started(t.source()) as source:
        with t.second() as other, other.cursor() as cursor:
            cursor.execute("XA START 'large'")
            for first in range(100, 100 + rows, 10_000):
                values = ", ".join(f"({i}, repeat('x', 50))" for i in range(first, first + 10_000))
                cursor.execute(f"INSERT INTO t VALUES {values}")
            for statement in ("UPDATE t SET v = 'y' WHERE id = 100", "XA END 'large'", "XA PREPARE 'large'"):
                cursor.execute(statement)
        tracemalloc.start()
        try:
            mark = source.now()
            while not source.passed(mark):
                assert source.read(at_once, 0.1).blocks == []
            held_bytes = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        t.run("XA COMMIT 'large'")
        mark, batches = source.now(), []
        while not source.passed(mark):
            batches.append(changes(source.read(at_once, 0.1)))
    assert held_bytes < 3 << 20  # of at least 4.5 MB
    assert max(map(len, batches)) < 3 * at_once  # twice at most, and the row event that was begun
    events = [event for batch in batches for event in batch]
    assert [e.after[0] for e in events] == [b"%d" % i for i in range(100, 100 + rows)] + [b"100"]
    assert events[-1].after == (b"100", b"y")
    assert [e.last for e in events] == [False] * rows + [True]
    assert len({e.order.position for e in events}) == 1


def test_an_xa_transaction_that_was_prepared_before_capture_began_makes_its_rows_a_loss(t):
    with t.second() as other, other.cursor() as cursor:
        for statement in ("XA START 'z'", "INSERT INTO t VALUES (7, 'xa')", "XA END 'z'", "XA PREPARE 'z'"):
            cursor.execute(statement)
    with started(t.source()) as source:
        t.run("XA COMMIT 'z'")
        batch = read_all(source)
    assert "XA" in batch.lost[f"{t.database}.t"]


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
def test_rows_that_are_not_whole_make_their_table_a_loss_and_no_other(t, image):
    t.run("CREATE TABLE u (id int PRIMARY KEY, b blob, v int)", "INSERT INTO u VALUES (1, 'b', 1)")
    with started(t.source()) as source:
        t.run(
            f"SET SESSION binlog_row_image = '{image}'", "UPDATE u SET v = 2", "SET SESSION binlog_row_image = 'FULL'"
        )
        t.run("INSERT INTO t VALUES (4, 'd')", "UPDATE u SET v = 3")
        batch = read_all(source)
    assert list(batch.lost) == [f"{t.database}.u"]
    assert "binlog_row_image" in batch.lost[f"{t.database}.u"]
    assert seen(batch) == [("c", None, (b"4", b"d"))]
    assert seen(batch, "u") == []


STATEMENTS = [
    "INSERT INTO u VALUES (2, 'x')",
    "UPDATE u SET v = 'y'",
    "DELETE FROM u",
    "REPLACE INTO u SELECT id + 10, v FROM t",
    "UPDATE u JOIN t USING (id) SET u.v = 'z'",
]


def test_changes_that_a_session_logs_as_statements_make_their_table_a_loss_and_no_other(t):
    t.run("CREATE TABLE u (id int PRIMARY KEY, v varchar(9))", "INSERT INTO u VALUES (1, 'a')")
    with started(t.source()) as source:
        for statement in STATEMENTS:
            t.run("SET SESSION binlog_format = 'STATEMENT'", statement, "SET SESSION binlog_format = 'ROW'")
            batch = read_all(source)
            wanted = {f"{t.database}.u"} | ({f"{t.database}.t"} if "JOIN" in statement else set())
            assert (statement, set(batch.lost)) == (statement, wanted)
            assert "binlog_format" in batch.lost[f"{t.database}.u"]
        t.run("INSERT INTO t VALUES (4, 'd')")
        batch = read_all(source)
    assert batch.lost == {}
    assert seen(batch) == [("c", None, (b"4", b"d"))]


def test_a_loaded_file_that_a_session_logs_as_a_statement_is_a_loss(t, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("7,seven\n")
    with started(t.source()) as source, mysql.connect(t.url, program_name="test", local_infile=True) as session:
        with session.cursor() as cursor:
            cursor.execute("SET SESSION binlog_format = 'STATEMENT'")
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE t FIELDS TERMINATED BY ','")
        assert list(read_all(source).lost) == [f"{t.database}.t"]


def test_settings_for_one_statement_do_not_hide_a_truncate(mariadb_db, pipeline_name):
    db = Database(mariadb_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with started(db.source()) as source:
        db.run("SET STATEMENT lock_wait_timeout = 5 FOR TRUNCATE TABLE t")
        assert [op for op, *_ in seen(read_all(source))] == ["t"]
    db.close()


def test_rows_without_the_names_of_their_columns_are_a_loss_each_time(t):
    with started(t.source()) as source:
        t.run("SET GLOBAL binlog_row_metadata = 'MINIMAL'")
        try:
            for id_ in (4, 5):
                t.run(f"INSERT INTO t VALUES ({id_}, 'd')")
                batch = read_all(source)
                assert "binlog_row_metadata" in batch.lost[f"{t.database}.t"]
                assert seen(batch) == []
        finally:
            t.run("SET GLOBAL binlog_row_metadata = 'FULL'")
        t.run("INSERT INTO t VALUES (6, 'f')")
        assert seen(read_all(source)) == [("c", None, (b"6", b"f"))]


PARTIAL_UPDATES = (
    "j = json_set(j, '$.a', 2)",
    """j = json_set(j, '$.b', "another"), n = n + 1""",
    "j = json_set(j, '$.list[1]', json_object('k', 70000)), k = json_set(k, '$.x', 1)",
    "j = json_set(j, '$.list[9]', 1e100)",
    "j = json_replace(j, '$.deep.er[0].e', cast('2026-11-27 10:00:00.5' as datetime(6)))",
    "j = json_remove(j, '$.list[0]', '$.deep.er[1]')",
    r"""j = json_set(j, '$."a b"', cast(1.50 as decimal(10, 2)), '$."q\\"é"', true, '$.zz', null)""",
    "j = json_remove(j, '$.a')",
    "j = json_set(j, '$.a', -1)",
    "k = json_remove(k, '$.x')",
    "k = NULL",
    "n = n + 1",
    "k = '{}'",
)


@pytest.mark.mysql
def test_json_values_of_which_the_log_has_differences_alone_are_those_that_the_server_selects(mysql_db, pipeline_name):
    db = Database(mysql_db, pipeline_name)
    document = json.dumps({"a": 1, "b": "long enough", "list": [1, 2], "deep": {"er": [{"e": 1}, "x" * 300]}})
    db.run("CREATE TABLE u (id int PRIMARY KEY, j json, n int, k json)")
    db.run(f"""INSERT INTO u VALUES (1, '{document}', 1, '{{"y": "{"z" * 200}"}}'), (2, '[]', 2, NULL)""")
    wanted = []
    with started(db.source()) as source:
        for update in ("n = n + 7", *PARTIAL_UPDATES):
            db.run("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", f"UPDATE u SET {update} WHERE id = 1")
            wanted += db.rows("SELECT CAST(j AS CHAR), CAST(n AS CHAR), CAST(k AS CHAR) FROM u WHERE id = 1")
        batch = read_all(source)
    db.close()
    assert batch.lost == {}
    got = [tuple(value if value is None else value.decode() for value in after[1:]) for _, _, after in seen(batch, "u")]
    assert got == wanted


def test_a_table_that_is_made_anew_or_renamed_is_another_one_until_it_was_looked_at(t):
    with started(t.source()) as source:
        before = found(source, "t").identity
        t.run("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY, w int)", "INSERT INTO t VALUES (1, 5)")
        assert seen(read_all(source)) == []
        again = found(source, "t").identity
        assert again != before
        t.run("INSERT INTO t VALUES (2, 6)")
        assert seen(read_all(source)) == [("c", None, (b"2", b"6"))]
        t.run("CREATE TABLE shadow (id int PRIMARY KEY, w int)", "RENAME TABLE t TO old, shadow TO t")
        t.run("INSERT INTO t VALUES (3, 7)")
        assert seen(read_all(source)) == []
        assert found(source, "t").identity not in (before, again)


def test_what_was_made_anew_is_remembered_over_a_restart(t):
    source = t.source()
    identity = source.prepare()
    source.start(None, identity)
    source.publish(source.tables())
    first = found(source, "t").identity
    t.run("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY)")
    saved = read_all(source).resume
    made = found(source, "t").identity
    source.close()
    with started(t.source(), saved, identity) as source:
        assert found(source, "t").identity == made != first


@pytest.mark.parametrize("statement", ["ALTER TABLE p TRUNCATE PARTITION p0", "ALTER TABLE p DROP PARTITION p0"])
def test_rows_that_go_with_their_partition_are_a_loss(db, statement):
    db.run(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)"
        " (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)",
        "INSERT INTO p VALUES (1), (11)",
    )
    with started(db.source()) as source:
        db.run(statement)
        assert "moved or removed rows" in read_all(source).lost[f"{db.database}.p"]


@pytest.mark.parametrize("compressed", ["OFF", "ON"])
def test_a_great_transaction_comes_in_parts_that_do_not_end_it(t, mysql_kind, compressed):
    with started(t.source()) as source:
        if mysql_kind == "mysql":
            t.run(f"SET SESSION binlog_transaction_compression = {compressed}")
        t.run("BEGIN")
        for start in range(10, 5010, 500):
            t.run("INSERT INTO t VALUES " + ", ".join(f"({i}, 'v')" for i in range(start, start + 500)))
        t.run("COMMIT")
        mark, parts = source.now(), []
        while not source.passed(mark):
            parts.append(source.read(1_000, 1.0))
    events = [e for part in parts for e in changes(part)]
    assert len(parts) > 2
    assert max(sum(len(b) for b in part.blocks) for part in parts) < 3_000  # as above
    assert [int(e.after[0]) for e in events] == list(range(10, 5010))
    assert [e.last for e in events] == [False] * 4_999 + [True]
    assert [e.order for e in events] == sorted(e.order for e in events)
    inside = [part for part in parts if not part.between]
    assert {str(part.resume) for part in inside} <= {str(parts[0].resume)}


def test_compressed_transactions_are_read_like_others(t, mysql_kind):
    settings = ["log_bin_compress", "log_bin_compress_min_len"] if mysql_kind == "mariadb" else []
    before = [t.value(f"SELECT @@global.{name}") for name in settings]
    with started(t.source()) as source:
        if mysql_kind == "mariadb":
            t.run("SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10")
        else:
            t.run("SET SESSION binlog_transaction_compression = ON")
        try:
            t.run(
                "INSERT INTO t VALUES " + ", ".join(f"({i}, repeat('x', 50))" for i in range(10, 500)),
                "BEGIN", "UPDATE t SET v = repeat('y', 40) WHERE id < 20", "DELETE FROM t WHERE id >= 490", "COMMIT",
                "CREATE TABLE compressed_too (id int PRIMARY KEY, c varchar(200) COMMENT 'a long statement, on purpose')",
            )  # fmt: skip
        finally:
            for name, value in zip(settings, before, strict=True):
                t.run(f"SET GLOBAL {name} = {value}")
        t.run("INSERT INTO t VALUES (1000, 'z')")
        batch = read_all(source)
    events = seen(batch)
    assert [op for op, *_ in events] == ["c"] * 490 + ["u"] * 13 + ["d"] * 10 + ["c"]
    assert events[0][2] == (b"10", b"x" * 50)
    assert events[-1][2] == (b"1000", b"z")
    assert [e.last for e in changes(batch)] == [False] * 489 + [True] + [False] * 22 + [True, True]
