"""Comparison of two real databases: every kind of table and value, and differences of one bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from operate.validate import catalog
from operate.validate.shape import Incompatible, plan
from operate.validate.table import Comparison
from tests.support.crews import crew
from tests.support.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


class Arrived:
    """A pipeline in which everything has arrived."""

    def catch_up(self) -> bool:
        return True


class Pair:
    """Two databases with the same contents until a test makes one of them wrong."""

    def __init__(self, source: str, target: str) -> None:
        self.crew = crew(source, target, 2)
        self.source, self.target = (psycopg.connect(url, autocommit=True) for url in (source, target))

    def both(self, *statements: str) -> None:
        for statement in statements:
            self.source.execute(statement)
            self.target.execute(statement)

    def plan(self, table: str = "t", namespace: str = "public", **options):
        source = catalog.shape(self.crew.source.connection, namespace, table, publication="none")
        target = catalog.shape(self.crew.target.connection, namespace, table)
        same_hash = catalog.hashes_alike(self.crew.source.connection, self.crew.target.connection)
        return plan(source, target, **{"keyless": False, "same_hash": same_hash} | options)

    def compare(self, table: str = "t", namespace: str = "public", **options) -> dict[str, int]:
        tally = Comparison(self.plan(table, namespace, **options), self.crew, Arrived()).run()
        names = ("rows", "target_rows", "missing", "extra", "different", "unsettled")
        return {name: getattr(tally, name) for name in names}


def result(rows: int, missing: int = 0, extra: int = 0, different: int = 0) -> dict[str, int]:
    return {
        "rows": rows,
        "target_rows": rows - missing + extra,
        "missing": missing,
        "extra": extra,
        "different": different,
        "unsettled": 0,
    }


@pytest.fixture
def pair(source_db: str, target_db: str) -> Iterator[Pair]:
    made = Pair(source_db, target_db)
    with made.crew, made.source, made.target:
        yield made


#: (type, a value, a value that differs from it by as little as the type allows)
VALUES = [
    ("boolean", "'t'", "'f'"),
    ("smallint", "'-32768'", "'-32767'"),
    ("bigint", "'9223372036854775807'", "'9223372036854775806'"),
    ("real", "'1e-45'", "'3e-45'"),
    ("double precision", "'0.1'", "'0.10000000000000002'"),
    ("double precision", "'0'", "'-0'"),
    ("double precision", "'NaN'", "'Infinity'"),
    ("numeric", "'1.0'", "'1.00'"),
    ("numeric", "'NaN'", "'-Infinity'"),
    ("numeric(40,20)", "'12345678901234567890.00000000000000000001'", "'12345678901234567890.00000000000000000002'"),
    ("money", "'1.01'", "'1.02'"),
    ("text", "''", "NULL"),
    ("text", "'a'", "'a '"),
    ("text", r"E'\\n'", r"E'\n'"),
    ("text", "'e\u0301'", "'\u00e9'"),
    ("text", "'NULL'", "NULL"),
    ("text", "'a,b'", "'a\",\"b'"),
    ("char(4)", "'ab'", "'ab c'"),
    ("varchar(9)", "'🜚'", "'🜛'"),
    ('"char"', "'a'", "'b'"),
    ("bytea", r"'\x00ff'", r"'\x00fe'"),
    ("date", "'infinity'", "'5874897-12-31'"),
    ("date", "'4713-01-01 BC'", "'4713-01-02 BC'"),
    ("time", "'24:00:00'", "'00:00:00'"),
    ("timetz", "'01:02:03+01'", "'00:02:03+00'"),
    ("timestamp", "'2024-02-29 23:59:59.999999'", "'2024-02-29 23:59:59.999998'"),
    ("timestamptz", "'-infinity'", "'4714-11-24 00:00:00+00 BC'"),
    ("interval", "'1 mon'", "'30 days'"),
    ("interval", "'1 day'", "'24 hours'"),
    ("uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("jsonb", "'{\"a\":1}'", "'{\"a\":1.0}'"),
    ("inet", "'10.0.0.1/24'", "'10.0.0.1'"),
    ("cidr", "'10.0.0.0/8'", "'10.0.0.0/9'"),
    ("macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("bit(3)", "'101'", "'100'"),
    ("varbit", "'1'", "'10'"),
    ("int[]", "'{1,NULL}'", "'{1}'"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("int[]", "'[0:1]={1,2}'", "'{1,2}'"),
    ("int4range", "'[1,5)'", "'[1,6)'"),
    ("tstzmultirange", "'{}'", "NULL"),
    ("point", "'(1,2)'", "'(1,2.0000000000000004)'"),
    ("tsvector", "'a:1'", "'a:2'"),
    ("pg_lsn", "'0/1'", "'0/2'"),
]


def test_the_smallest_difference_of_every_type_is_found(pair: Pair) -> None:
    before, after = {}, {}
    for number, (kind, value, other) in enumerate(VALUES):
        table, case = f"t{number}", f"{kind} {value} {other}"
        pair.both(
            f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})",
            f"INSERT INTO {table} VALUES (1, {value}), (2, NULL)",
        )
        before[case] = pair.compare(table)
        pair.target.execute(f"UPDATE {table} SET v = {other} WHERE id = 1")
        after[case] = pair.compare(table)

    assert before == dict.fromkeys(before, result(2))
    assert after == dict.fromkeys(after, result(2, different=1))


def test_differences_in_a_large_table_are_counted_to_the_row(pair: Pair) -> None:
    pair.both(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text, n numeric)",
        "INSERT INTO t SELECT g * 3, md5(g::text), g * 1.50 FROM generate_series(1, 200000) g",
        "ANALYZE t",
    )
    pair.target.execute("DELETE FROM t WHERE id IN (3, 300000, 600000)")
    pair.target.execute("DELETE FROM t WHERE id BETWEEN 90000 AND 150000")
    pair.target.execute("INSERT INTO t VALUES (-1, '', 0), (300001, '', 0), (600001, '', 0), (999999, '', 0)")
    pair.target.execute("UPDATE t SET v = overlay(v PLACING chr(ascii(v) # 1) FROM 1 FOR 1) WHERE id = 30000")
    pair.target.execute("UPDATE t SET n = n + 0.00, v = v || '' WHERE id < 1000")

    assert pair.plan().ranged
    assert pair.compare() == result(200_000, missing=3 + 20_001, extra=4, different=1)


def test_equal_tables_are_equal_whatever_the_order_of_their_rows(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pair.source.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 50000) g")
    pair.target.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(50000, 1, -1) g")

    assert pair.compare() == result(50_000)


def test_two_rows_that_swapped_their_values_are_both_different(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10), (2, 20)")
    pair.target.execute("UPDATE t SET v = 30 - v")

    assert pair.compare() == result(2, different=2)


def test_duplicates_without_a_key_are_counted_one_by_one(pair: Pair) -> None:
    pair.both(
        "CREATE TABLE t (a int, b text, j json, f float)",
        "INSERT INTO t SELECT g % 10, NULLIF(g % 3, 0), '{}', 'NaN' FROM generate_series(1, 3000) g",
    )
    assert pair.compare() == result(3_000)

    pair.target.execute("DELETE FROM t WHERE ctid = ANY (ARRAY(SELECT ctid FROM t WHERE a = 1 AND b = '1' LIMIT 2))")
    pair.target.execute("INSERT INTO t VALUES (1, '', '{}', 'NaN'), (1, '', '{}', 'NaN'), (2, '2', '{ }', 'NaN')")

    assert pair.compare() == result(3_000, missing=2, extra=3)


def test_names_are_taken_literally(pair: Pair) -> None:
    odd = "we\"ird; %s -- \n't"
    names = psycopg.sql.Identifier("Odd %", odd), psycopg.sql.Identifier("k%s"), psycopg.sql.Identifier('v"alu\te')
    table, key, value = names
    for connection in (pair.source, pair.target):
        connection.execute('CREATE SCHEMA "Odd %"')
        query = psycopg.sql.SQL('CREATE TABLE {} ({} text COLLATE "C" PRIMARY KEY, {} int)')
        connection.execute(query.format(table, key, value))
        connection.execute(psycopg.sql.SQL("INSERT INTO {} SELECT g, g FROM generate_series(1, 30000) g").format(table))
    assert pair.compare(odd, "Odd %") == result(30_000)

    pair.target.execute(psycopg.sql.SQL("UPDATE {} SET {} = 0 WHERE {} IN ('7', '77')").format(table, value, key))

    assert pair.compare(odd, "Odd %") == result(30_000, different=2)


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ('a int, b text COLLATE "C"', "g / 100, (g % 100)::text"),
        ("a uuid, b date", "md5(g::text)::uuid, '2000-01-01'::date + g"),
        ("a bytea, b boolean", "decode(md5((g / 2)::text), 'hex'), g % 2 = 0"),
        ("a numeric, b timestamptz", "g / 7.0, to_timestamp(g)"),
        ('a float8, b "char"', 'sqrt(g), chr(65 + g % 26)::"char"'),
    ],
)
def test_composite_keys_of_sortable_types_are_walked_in_ranges(pair: Pair, columns: str, key: str) -> None:
    pair.both(
        f"CREATE TABLE t ({columns}, v int, PRIMARY KEY (a, b))",
        f"INSERT INTO t SELECT {key}, g FROM generate_series(1, 45000) g",
    )
    assert pair.plan().ranged
    assert pair.compare() == result(45_000)

    pair.target.execute("DELETE FROM t WHERE v IN (1, 22222)")
    pair.target.execute("UPDATE t SET v = -v WHERE v IN (3, 33333, 45000)")

    assert pair.compare() == result(45_000, missing=2, different=3)


def test_text_keys_whose_collations_differ_are_compared_by_buckets(pair: Pair) -> None:
    pair.source.execute('CREATE TABLE t (k text COLLATE "pg_c_utf8" PRIMARY KEY, v int)')
    pair.target.execute('CREATE TABLE t (k text COLLATE "C" PRIMARY KEY, v int)')
    pair.both("INSERT INTO t SELECT CASE g % 2 WHEN 0 THEN 'Ä' ELSE 'a' END || g, g FROM generate_series(1, 30000) g")
    assert not pair.plan().ranged
    assert pair.compare() == result(30_000)

    pair.target.execute("UPDATE t SET v = 0 WHERE k IN ('a1', 'Ä2')")
    pair.target.execute("UPDATE t SET k = 'b3' WHERE k = 'a3'")

    assert pair.compare() == result(30_000, missing=1, extra=1, different=2)


def test_an_enum_at_the_source_may_be_text_at_the_target(pair: Pair) -> None:
    pair.source.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    pair.source.execute("CREATE TABLE t (k mood, n int, m mood[], PRIMARY KEY (k, n))")
    pair.target.execute("CREATE TABLE t (k text, n int, m text, PRIMARY KEY (k, n))")
    pair.both("INSERT INTO t SELECT 'ok', g, '{sad,ok}' FROM generate_series(1, 1000) g")
    assert pair.compare() == result(1_000)

    pair.target.execute("UPDATE t SET k = 'sad' WHERE n = 5")

    assert pair.compare() == result(1_000, missing=1, extra=1)


def test_an_address_at_the_source_may_be_text_at_the_target(pair: Pair) -> None:
    pair.source.execute("CREATE TABLE t (k inet PRIMARY KEY)")
    pair.target.execute("CREATE TABLE t (k text PRIMARY KEY)")
    pair.both("INSERT INTO t VALUES ('10.0.0.1'), ('::1'), ('10.0.0.0/8')")

    assert pair.compare() == result(3)


def test_partitions_count_as_their_table_and_heirs_do_not(pair: Pair) -> None:
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY HASH (id)")
    pair.source.execute("CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
    pair.source.execute("CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
    pair.target.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pair.target.execute("CREATE TABLE heir () INHERITS (t)")
    pair.both("INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g")
    pair.target.execute("INSERT INTO heir VALUES (2000, 1)")
    assert pair.compare() == result(1_000)

    pair.target.execute("DELETE FROM t WHERE id = 500")

    assert pair.compare() == result(1_000, missing=1)


def test_duplicates_of_a_key_at_the_target_are_extra_rows(pair: Pair) -> None:
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    pair.target.execute("CREATE TABLE t (id int, v int)")
    pair.both("INSERT INTO t SELECT g, g FROM generate_series(1, 100) g")
    pair.target.execute("INSERT INTO t VALUES (7, 7), (8, 0)")

    assert pair.compare() == result(100, extra=2)


def test_columns_that_do_not_travel_are_not_compared_and_missing_ones_are_named(pair: Pair) -> None:
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED)")
    pair.target.execute("CREATE TABLE t (id int PRIMARY KEY, v int, loaded_at timestamptz DEFAULT now())")
    pair.both("INSERT INTO t (id, v) VALUES (1, 2)")
    assert pair.compare() == result(1)

    pair.target.execute("ALTER TABLE t DROP v")

    with pytest.raises(Incompatible, match="the target has no column v"):
        pair.compare()


def test_only_the_columns_of_the_publication_are_compared(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v int, secret text)", "INSERT INTO t VALUES (1, 2, 'x')")
    pair.source.execute("CREATE PUBLICATION some_columns FOR TABLE t (id, v)")
    pair.target.execute("UPDATE t SET secret = NULL")

    shape = catalog.shape(pair.crew.source.connection, "public", "t", publication="some_columns")

    assert [column.name for column in shape.columns] == ["id", "v"]


def test_a_source_in_another_encoding_is_compared_by_characters(source_server: str, target_db: str) -> None:
    with fresh_database(source_server, "source") as utf8:
        name = utf8.rsplit("/", 1)[1] + "_latin"
        with psycopg.connect(source_server, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            pair = Pair(f"{utf8}_latin", target_db)
            with pair.crew, pair.source, pair.target:
                pair.both("CREATE TABLE t (k text PRIMARY KEY, v text)")
                for connection in (pair.source, pair.target):
                    connection.execute("SET client_encoding = 'UTF8'")
                    connection.execute("INSERT INTO t VALUES ('ä', 'é'), ('z', '\u00df')".encode())
                assert pair.plan().portable
                assert pair.compare() == result(2)
                pair.target.execute("UPDATE t SET v = 'ss' WHERE k = 'z'")
                assert pair.compare() == result(2, different=1)
                assert pair.compare(keyless=True) == result(2, missing=1, extra=1)
        finally:
            with psycopg.connect(source_server, autocommit=True) as server:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_tables_without_columns_or_rows_are_equal(pair: Pair) -> None:
    pair.both("CREATE TABLE t ()", "INSERT INTO t DEFAULT VALUES", "CREATE TABLE u (id int PRIMARY KEY)")

    assert pair.compare() == result(1)
    assert pair.compare("u") == result(0)
