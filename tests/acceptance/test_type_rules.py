"""Rules that give columns other types, through both daemons: every value arrives exactly, or its table stops."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.mysql_source import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture
def pipeline(kafka: str, target_server: str, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Return what starts a pipeline with rules from a source; its target has an enum of its own."""
    with fresh_database(target_server, "target") as target:
        made: list[Pipeline] = []

        def make(source: str, types: list[dict[str, Any]]) -> Pipeline:
            with psycopg.connect(target) as connection:
                connection.execute("CREATE TYPE public.mood AS ENUM ('sad', 'so so')")
            made.append(Pipeline(tmp_path, f"rules_{secrets.token_hex(4)}", kafka, source, target, types=types))
            made[0].start()
            return made[0]

        yield make
        for one in made:
            with closing(one):
                pass


@pytest.fixture
def db(mysql_kind_db: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, f"rules_{secrets.token_hex(4)}")
    yield made
    made.close()


def target_types(pipeline: Pipeline, table: str) -> dict[str, str]:
    query = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass"
    with psycopg.connect(pipeline.target) as target:
        return dict(target.execute(f"{query} AND attnum > 0", [table]).fetchall())


def target_rows(pipeline: Pipeline, table: str, columns: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(pipeline.target) as target:
        target.execute("SET TimeZone = 'UTC'")
        return target.execute(f"SELECT {columns} FROM {table} ORDER BY id".encode()).fetchall()


def assert_valid(pipeline: Pipeline) -> None:
    code, document = pipeline.command("validate")
    assert [t["state"] for t in document["tables"]] == ["equal"], document
    assert code == 0


#: Column, type at the source, the rule, values at the source, and their texts in the target.
MYSQL = [
    ("n", "bigint unsigned", {"from": "bigint unsigned", "to": "bigint"}, ["9223372036854775807", "0"],
     ["9223372036854775807", "0"]),
    ("is_new", "tinyint(1)", {"columns": "*.*.is_*", "to": "boolean"}, ["1", "0"], ["true", "false"]),
    ("one", "bit(1)", {"from": "bit(1)", "to": "boolean"}, ["b'1'", "b'0'"], ["true", "false"]),
    ("at", "datetime(3)", {"from": "datetime", "to": "timestamptz", "zone": "UTC"},
     ["'2026-01-31 12:34:56.789'", "'1970-01-01'"], ["2026-01-31 12:34:56.789+00", "1970-01-01 00:00:00+00"]),
    ("born", "date", {"from": "date", "to": "text"}, ["'0000-00-00'", "'2026-11-27'"], ["0000-00-00", "2026-11-27"]),
    ("doc", "longtext", {"columns": "*.*.doc", "to": "jsonb"}, ["'{\"b\": 1, \"a\":  [2.50]}'", "'null'"],
     ['{"a": [2.50], "b": 1}', "null"]),
    ("uid", "char(36)", {"columns": "*.*.uid", "to": "uuid"},
     ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000000'"],
     ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("mood", "enum('sad','so so')", {"from": "enum", "to": "public.mood"}, ["'so so'", "'sad'"], ["so so", "sad"]),
]  # fmt: skip
MYSQL_TYPES = {
    "id": "bigint", "n": "bigint", "is_new": "boolean", "one": "boolean", "at": "timestamp with time zone",
    "born": "text", "doc": "jsonb", "uid": "uuid", "mood": "mood",
}  # fmt: skip
#: More rows than go one by one.
MANY = 400


def test_columns_of_mysql_get_the_types_of_the_rules_and_a_value_that_does_not_fit_stops_the_table(db, pipeline):
    columns = ", ".join(f"{name} {kind}" for name, kind, *_ in MYSQL)
    db.run(f"CREATE TABLE t (id bigint unsigned PRIMARY KEY, {columns})")
    first, second = (", ".join(values[i] for *_, values, _ in MYSQL) for i in (0, 1))
    db.run(f"INSERT IGNORE INTO t VALUES (1, {first}), (2, {second})")
    running = pipeline(db.url, [rule for _, _, rule, *_ in MYSQL])
    table = f"{db.database}.t"
    running.wait_for_target(f"SELECT count(*) FROM {table}", 2)
    rows = ", ".join(f"({i}, {first}), ({i + 1}, {second})" for i in range(3, 3 + MANY, 2))
    db.run(f"INSERT IGNORE INTO t VALUES {rows}", "UPDATE t SET is_new = 1 - is_new, at = NULL WHERE id > 400")
    running.caught_up()

    assert target_types(running, table) == MYSQL_TYPES
    shown = ", ".join(f"{name}::text" for name, *_ in MYSQL)
    copied = target_rows(running, table, shown)
    expected = [tuple(texts[i] for *_, texts in MYSQL) for i in (0, 1)]
    assert copied[:2] == expected
    assert copied[2:400] == expected * 199
    assert_valid(running)

    db.run("UPDATE t SET is_new = 2 WHERE id = 1")
    running.wait_for_target("SELECT state FROM ferryman.table_state", "blocked")
    assert "22P02" in (running.states()[table][1] or "")
    code, document = running.command("validate")
    assert (code, document["equal"]) == (1, False)
    db.run("UPDATE t SET is_new = 1 WHERE id = 1", "INSERT INTO t (id, n) VALUES (500, 5)")
    running.resync(table)
    running.wait_for_target(f"SELECT count(*) FROM {table}", MANY + 3)
    db.run("UPDATE t SET n = 18446744073709551615 WHERE id = 2")
    running.wait_for_target("SELECT substring(reason FROM '22003') FROM ferryman.table_state", "22003")
    running.stop()


POSTGRES = [
    ("n", "numeric(20,0)", {"from": "numeric(20)", "to": "bigint"}, ["9223372036854775807", "0"],
     ["9223372036854775807", "0"]),
    ("is_new", "smallint", {"columns": "public.*.is_*", "to": "boolean"}, ["1", "0"], ["true", "false"]),
    ("one", "bit(1)", {"from": "bit(1)", "to": "boolean"}, ["B'1'", "B'0'"], ["true", "false"]),
    ("at", "timestamp(3)", {"columns": "*.*.at", "to": "timestamp with time zone", "zone": "UTC"},
     ["'2026-01-31 12:34:56.789'", "'infinity'"], ["2026-01-31 12:34:56.789+00", "infinity"]),
    ("stamp", "timestamptz", {"from": "timestamptz", "to": "timestamp", "zone": "UTC"},
     ["'2026-01-31 12:00:00+05:45'", "'0044-03-15 01:02:03+00 BC'"],
     ["2026-01-31 06:15:00", "0044-03-15 01:02:03 BC"]),
    ("told", "timestamp", {"columns": "*.*.told", "to": "text"},
     ["'2026-01-31 12:34:56.5'", "'0044-03-15 01:02:03 BC'"],
     ["2026-01-31 12:34:56.500000", "0044-03-15 01:02:03 BC"]),
    ("f", "real", {"from": "float4", "to": "double precision"}, ["0.1", "'NaN'"], ["0.10000000149011612", "NaN"]),
    ("doc", "json", {"from": "json", "to": "jsonb"}, ["'{\"b\": 1, \"a\":  [2.50]}'", "'1'"],
     ['{"a": [2.50], "b": 1}', "1"]),
    ("uid", "text", {"columns": "*.*.uid", "to": "uuid"},
     ["'{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'", "'00000000-0000-0000-0000-000000000000'"],
     ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("name", "varchar(5)", {"from": "varchar(5)", "to": "varchar(9)"}, ["'ab  '", "NULL"], ["ab  ", None]),
]  # fmt: skip
POSTGRES_TYPES = {
    "id": "text", "n": "bigint", "is_new": "boolean", "one": "boolean", "at": "timestamp with time zone",
    "stamp": "timestamp without time zone", "told": "text", "f": "double precision", "doc": "jsonb", "uid": "uuid",
    "name": "character varying(9)",
}  # fmt: skip


def test_columns_of_postgresql_get_the_types_of_the_rules_and_a_row_that_differs_is_repaired(source_db, pipeline):
    columns = ", ".join(f"{name} {kind}" for name, kind, *_ in POSTGRES)
    first, second = (", ".join(values[i] for *_, values, _ in POSTGRES) for i in (0, 1))
    with psycopg.connect(source_db, autocommit=True) as source:
        source.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns})".encode())
        source.execute(f"INSERT INTO t VALUES (1, {first}), (2, {second})".encode())
        rules = [rule for _, _, rule, *_ in POSTGRES]
        running = pipeline(source_db, [*rules, {"columns": "public.t.id", "to": "text"}])
        running.wait_for_target("SELECT count(*) FROM public.t", 2)
        source.execute(f"INSERT INTO t VALUES (3, {first}), (4, {second})".encode())
        source.execute("UPDATE t SET is_new = 1 - is_new, name = 'x' WHERE id = 4")
        running.caught_up()

        assert target_types(running, "public.t") == POSTGRES_TYPES
        shown = ", ".join(f"{name}::text" for name, *_ in POSTGRES)
        expected = [tuple(texts[i] for *_, texts in POSTGRES) for i in (0, 1)]
        copied = target_rows(running, "public.t", shown)
        assert copied[:3] == [*expected, expected[0]]
        assert copied[3][1] == "true"
        assert_valid(running)

        with psycopg.connect(running.target, autocommit=True) as target:
            target.execute("UPDATE t SET is_new = NOT is_new, told = 'x' WHERE id = '3'")
            target.execute("DELETE FROM t WHERE id = '1'")
        code, document = running.command("validate", "--repair")
        assert (code, document["tables"][0]["repaired"]) == (0, 2), document
        assert target_rows(running, "public.t", shown) == copied

        source.execute("UPDATE t SET is_new = 7 WHERE id = 1")
    running.wait_for_target("SELECT state FROM ferryman.table_state", "blocked")
    assert "22P02" in (running.states()["public.t"][1] or "")
    running.stop()


@pytest.mark.slow
def test_a_rule_that_could_alter_values_or_came_too_late_stops_the_table_and_says_so(db, pipeline):
    db.run("CREATE TABLE lossy (id int PRIMARY KEY, price decimal(10,2))", "CREATE TABLE late (id int PRIMARY KEY)")
    running = pipeline(
        db.url,
        [
            {"columns": "*.lossy.price", "to": "numeric(10,1)"},
            {"columns": "*.late.n", "to": "boolean"},
            {"columns": "*.late.mood", "to": "nowhere.mood"},
        ],
    )
    lossy, late = f"{db.database}.lossy", f"{db.database}.late"
    running.wait_for_target(f"SELECT state FROM ferryman.table_state WHERE \"table\" = '{lossy}'", "blocked")
    assert "column price is decimal; numeric(10,1) takes" in (running.states()[lossy][1] or "")
    running.wait_for_target(f"SELECT count(*) FROM {late}", 0)
    with psycopg.connect(running.target, autocommit=True) as target:
        target.execute(f"ALTER TABLE {late} ADD COLUMN n smallint".encode())
    db.run("ALTER TABLE late ADD COLUMN n tinyint", "INSERT INTO late VALUES (1, 1)")
    running.wait_for_target(f"SELECT state FROM ferryman.table_state WHERE \"table\" = '{late}'", "blocked")
    _, reason, fix = running.states()[late]
    assert "says boolean for column n, which is smallint in the target" in (reason or "")
    assert fix is not None
    with psycopg.connect(running.target, autocommit=True) as target:
        target.execute(fix.partition(";")[0].encode())
    running.wait_for_target(f"SELECT string_agg(n::text, ' ') FROM {late}", "true")
    db.run("ALTER TABLE late ADD COLUMN mood enum('sad')", "INSERT INTO late VALUES (2, 0, 'sad')")
    running.wait_for_target(
        f"SELECT substring(reason FROM 'nowhere.mood') FROM ferryman.table_state WHERE \"table\" = '{late}'",
        "nowhere.mood",
    )
    running.stop()
