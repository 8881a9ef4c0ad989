"""Comparison of MySQL and MariaDB with PostgreSQL: every kind of key and value, and the smallest differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from capture.sources.mysql.policy import Policy
from operate.validate import mysql_origin
from operate.validate.origin import Refusal
from operate.validate.shape import Incompatible
from operate.validate.table import Comparison
from tests.support.mysql_pair import Arrived, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def pair(mysql_kind_db: str, target_db: str) -> Iterator[Pair]:
    made = Pair(mysql_kind_db, target_db)
    with made.crew, made.target:
        yield made
    made.source.close()


#: (type at the source, a value, the type at the target, the value there, another that differs from it by little)
VALUES = [
    ("tinyint unsigned", "255", "smallint", "255", "254"),
    ("bigint unsigned", "18446744073709551615", "numeric(20,0)", "18446744073709551615", "18446744073709551614"),
    ("int zerofill", "7", "bigint", "7", "8"),
    ("decimal(65,30)", f"-{'9' * 35}.{'9' * 30}", "numeric(65,30)", f"-{'9' * 35}.{'9' * 30}", f"-{'9' * 35}.{'9' * 29}8"),
    ("float", "0.1", "real", "0.1", "0.10000001"),
    ("double", "1.7976931348623157e308", "double precision", "1.7976931348623157e308", "1.7976931348623155e308"),
    ("bit(64)", "b'1'", "bit(64)", f"{'0' * 63}1", f"{'0' * 62}11"),
    ("year", "0", "smallint", "0", "2000"),
    ("date", "'2026-11-27'", "date", "2026-11-27", "2026-11-28"),
    ("datetime(6)", "'9999-12-31 23:59:59.999999'", "timestamp(6)", "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999998"),
    ("timestamp(3) NULL", "'2026-11-27 00:00:00.001'", "timestamptz(3)", "2026-11-27 00:00:00.001+00", "2026-11-27 01:00:00.001+00"),
    ("time(6)", "'-838:59:58.999999'", "interval(6)", "-838:59:58.999999", "838:59:58.999999"),
    ("varchar(20) CHARACTER SET latin1", "_utf8mb4'é€\t\\\\'", "varchar(20)", "é€\t\\", "é€\t/"),
    ("text CHARACTER SET utf16", "_utf8mb4'😀'", "text", "😀", "😁"),
    ("varchar(20)", "'a '", "varchar(20)", "a ", "a"),
    ("varchar(20)", "''", "varchar(20)", "", None),
    ("varbinary(10)", "x'00ff0a'", "bytea", "\\x00ff0a", "\\x00ff0a00"),
    ("enum('a','b')", "'b'", "text", "b", "B"),
    ("set('a','b','c')", "'a,c'", "text", "a,c", "a"),
]  # fmt: skip


def test_each_type_is_compared_to_the_last_bit(pair: Pair) -> None:
    """One column for each type; in the row of its number it alone differs."""
    numbers = range(len(VALUES))
    columns = ", ".join(f"v{n} {VALUES[n][0]}" for n in numbers)
    values = ", ".join(value for _, value, *_ in VALUES)
    nulls = ", ".join("NULL" for _ in VALUES)
    pair.at_source(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    pair.at_source(f"INSERT INTO t VALUES {', '.join(f'({n}, {values})' for n in numbers)}, (-1, {nulls})")
    pair.at_target(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'v{n} {VALUES[n][2]}' for n in numbers)})")
    insert = f"INSERT INTO t VALUES (%s, {', '.join('%s' for _ in VALUES)})"
    for n in numbers:
        pair.target.execute(insert, [n, *(there for _, _, _, there, _ in VALUES)])
    pair.target.execute(insert, [-1, *(None for _ in VALUES)])
    assert pair.compare() == (len(VALUES) + 1, 0, 0, 0)

    for n in numbers:
        pair.target.execute(f"UPDATE t SET v{n} = %s WHERE id = {n}", [VALUES[n][4]])
    assert pair.compare() == (len(VALUES) + 1, 0, 0, len(VALUES))


#: (key columns at the source, at the target, values of the key by a number, whether it is walked in ranges)
KEYS = [
    ("a int", "a int", "({0})", True),
    ("a bigint unsigned", "a numeric(20,0)", "(18446744073709541615 + {0})", True),
    ("a int, b decimal(10,2)", "a int, b numeric(10,2)", "({0} % 7, {0} / 4)", True),
    ("a varchar(20) COLLATE utf8mb4_general_ci", "a varchar(20)", "(CONCAT('k', {0}))", False),
    ("a varbinary(8)", "a bytea", "(UNHEX(LPAD(HEX({0}), 8, '0')))", False),
    ("a datetime(6)", "a timestamp(6)", "(TIMESTAMP('2026-01-01') + INTERVAL {0} MINUTE)", False),
    ("a int, b varchar(9)", "a int, b varchar(9)", "({0} DIV 2, {0} % 2)", False),
]


@pytest.mark.parametrize(("key", "target_key", "values", "ranged"), KEYS)
def test_with_every_kind_of_key_exactly_the_rows_that_differ_are_found(
    pair: Pair, key: str, target_key: str, values: str, *, ranged: bool
) -> None:
    names = ", ".join(part.split()[0] for part in key.split(", "))
    pair.at_source(f"CREATE TABLE t ({key}, v varchar(40), PRIMARY KEY ({names}))")
    rows = [f"{values.format(n)[:-1]}, 'row {n}')" for n in range(3_000)]
    pair.at_source(f"INSERT INTO t VALUES {', '.join(rows)}")
    pair.at_target(f"CREATE TABLE t ({target_key}, v varchar(40), PRIMARY KEY ({names}))")
    copy_by_hand(pair)
    assert pair.plan().ranged == ranged
    assert pair.compare() == (3_000, 0, 0, 0)

    pair.at_target(
        "DELETE FROM t WHERE v = 'row 17'",
        "UPDATE t SET v = v || ' ' WHERE v IN ('row 2998', 'row 0')",
    )
    pair.at_source("DELETE FROM t WHERE v = 'row 2000'")
    assert pair.compare() == (2_999, 1, 1, 2)


def copy_by_hand(pair: Pair, table: str = "t") -> None:
    """Carry the rows over by the drivers alone."""
    with pair.source.cursor() as cursor, pair.target.cursor() as target:
        cursor.execute(f"SELECT * FROM {table}")
        rows = cursor.fetchall()
        target.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)


@pytest.mark.parametrize("staged", [1, 25])
def test_without_a_key_equal_rows_are_counted(pair: Pair, monkeypatch: pytest.MonkeyPatch, staged: int) -> None:
    monkeypatch.setattr(mysql_origin, "_STAGED_BATCHES", staged)
    monkeypatch.setattr("operate.validate.mysql_rows._FETCH", 100)
    pair.at_source("CREATE TABLE t (kind int, note text)")
    pair.at_source(f"INSERT INTO t VALUES {', '.join(f'({n % 5}, NULL)' for n in range(1_000))}")
    pair.at_target("CREATE TABLE t (kind int, note text)")
    copy_by_hand(pair)
    assert pair.compare(keyless=True) == (1_000, 0, 0, 0)

    pair.at_target(
        "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE kind = 3 LIMIT 2)",
        "INSERT INTO t VALUES (4, NULL), (9, '')",
    )
    assert pair.compare(keyless=True) == (1_000, 2, 2, 0)


def test_an_empty_table_equals_an_empty_table_alone(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int PRIMARY KEY)")
    pair.at_target("CREATE TABLE t (a int PRIMARY KEY)")
    assert pair.compare() == (0, 0, 0, 0)

    pair.at_target("INSERT INTO t VALUES (1)")
    assert pair.compare() == (0, 0, 1, 0)


def test_a_table_whose_target_lacks_a_column_is_incompatible(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int PRIMARY KEY, b int)")
    pair.at_target("CREATE TABLE t (a int PRIMARY KEY)")

    with pytest.raises(Incompatible, match="the target has no column b"):
        pair.plan()


def test_after_a_value_that_the_target_cannot_take_the_next_table_is_compared(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int PRIMARY KEY, d date)", "INSERT INTO t VALUES (1, '0000-00-00')")
    pair.at_target("CREATE TABLE t (a int PRIMARY KEY, d date)", "CREATE TABLE u (a int PRIMARY KEY)")
    with pytest.raises(psycopg.errors.DatetimeFieldOverflow):
        pair.compare()
    pair.crew.rest()

    pair.at_source("CREATE TABLE u (a int PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    pair.at_target("INSERT INTO u VALUES (1)")

    assert not pair.crew.broken
    assert pair.compare("u") == (1, 0, 0, 0)


def test_values_that_were_altered_by_choice_are_altered_here_too(pair: Pair) -> None:
    pair.at_source(
        "CREATE TABLE t (a varchar(9) PRIMARY KEY, d date, v varchar(9))",
        "INSERT INTO t VALUES ('k', '0000-00-00', 'a\\0b'), ('\\0', '2026-00-00', NULL)",
    )
    pair.at_target("CREATE TABLE t (a varchar(9) PRIMARY KEY, d date, v varchar(9))")
    pair.at_target("INSERT INTO t VALUES ('k', '-infinity', E'a\u2400b'), (E'\u2400', '-infinity', NULL)")
    pair.origin._policy = Policy(infinity=True, symbol=True)
    assert pair.compare() == (2, 0, 0, 0)

    pair.at_target("UPDATE t SET d = '2026-01-01' WHERE a <> 'k'")
    assert pair.compare() == (2, 0, 0, 1)


def test_what_the_source_refuses_is_said_without_values(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int PRIMARY KEY)")
    pair.at_target("CREATE TABLE t (a int PRIMARY KEY)")
    plan = pair.plan()
    pair.at_source("DROP TABLE t")

    with pytest.raises(Refusal, match="error 1146"):
        Comparison(plan, pair.crew, Arrived()).run()


def test_the_target_keeps_nothing_of_what_was_compared(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    pair.at_target("CREATE TABLE t (a int PRIMARY KEY)", "INSERT INTO t VALUES (1)")

    assert pair.compare() == (1, 0, 0, 0)

    left = "SELECT relname FROM pg_class WHERE relname LIKE 'ferryman%' AND relpersistence <> 't'"
    assert pair.target.execute(left).fetchall() == []
