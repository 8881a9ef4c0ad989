"""Hostile values of MySQL and MariaDB through Kafka into PostgreSQL: copied and streamed they are the same, under any key."""

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
def db(mysql_kind_db: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, f"types_{secrets.token_hex(4)}")
    yield made
    made.close()


@pytest.fixture
def pipeline(db: Database, kafka: str, target_server: str, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    with fresh_database(target_server, "target") as target:
        made: list[Pipeline] = []

        def make(**source: Any) -> Pipeline:
            made.append(Pipeline(tmp_path, db.name, kafka, db.url, target, source=source))
            return made[-1]

        yield make
        for one in made:
            with closing(one):
                pass


TYPES = {
    "big": ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
    "price": ("decimal(65,30)", "-0.000000000000000000000000000001", "-0.000000000000000000000000000001"),
    "f": ("float", "0.1", "0.1"),
    "d": ("double", "1e22", "1e+22"),
    "bits": ("bit(10)", "b'1000000001'", "1000000001"),
    "span": ("time(3)", "'-25:30:00.5'", "-25:30:00.5"),
    "at": ("datetime(6)", "'2026-01-31 12:34:56.789123'", "2026-01-31 12:34:56.789123"),
    "stamp": ("timestamp(2)", "'2026-01-31 12:34:56.5'", "2026-01-31 12:34:56.5+00"),
    "zero": ("date", "'0000-00-00'", "-infinity"),
    "partial": ("datetime", "'2026-00-31 00:00:00'", "-infinity"),
    "nul": ("varchar(9)", "'a\\0b'", "a␀b"),
    "latin": ("varchar(9) character set latin1", "'é€'", "é€"),
    "japanese": ("text character set sjis", "'日本語'", "日本語"),
    "wide": ("char(4) character set utf16", "'😀 '", "😀"),
    "name": ("enum('a','é')", "'nope'", ""),
    "names": ("set('a','é','c')", "'a,é'", "a,é"),
    "raw": ("binary(4)", "x'00ff00'", "\\x00ff0000"),
    "spot": ("point", "ST_GeomFromText('POINT(1 2)', 4326)", None),
    "doc": ("json", "json_object('b', json_array(1, 2.50, 'é'), 'a', NULL)", None),
    "y": ("year", "0", "0"),
    "made": ("int AS (y + 1) VIRTUAL", None, "1"),
}
#: What only one kind of server has.
MORE_TYPES = {
    "mariadb": {"net": ("inet6", "'2001:db8::1'", "2001:db8::1/128")},
    "mysql": {"vec": ("vector(2)", "to_vector('[1,-2]')", "[1.0,-2.0]")},
}
#: More rows than go one by one.
MANY = ", ".join(f"({id_})" for id_ in range(1_001, 1_401))


def test_every_type_is_the_same_from_the_snapshot_and_from_the_log(db, pipeline, mysql_kind):
    types = TYPES | MORE_TYPES[mysql_kind]
    given = {name: value for name, (_, value, _) in types.items() if value is not None}
    columns = ", ".join(f"`{name}` {kind}" for name, (kind, _, _) in types.items())
    insert = f"INSERT IGNORE INTO t (id, {', '.join(given)}) SELECT {{}}, {', '.join(given.values())}"
    db.run("CREATE TABLE ids (id int PRIMARY KEY)", f"INSERT INTO ids VALUES {MANY}")
    db.run(f"CREATE TABLE t (id int PRIMARY KEY, {columns})", insert.format(1))
    running = pipeline(zero_dates="infinity", nul_characters="symbol")
    running.start()
    running.wait_for_target(f"SELECT count(*) FROM {db.database}.t", 1)
    # Blocks of many rows go by column, others row by row.
    db.run(insert.format(2), insert.format("id") + " FROM ids")
    running.wait_for_target(f"SELECT count(*) FROM {db.database}.t", 402)
    shown = ", ".join(f't."{name}"::text' for name in types)
    with psycopg.connect(running.target) as target:
        target.execute("SET TimeZone = 'UTC'")
        found = target.execute(f"SELECT {shown} FROM {db.database}.t ORDER BY id").fetchall()  # type: ignore[arg-type]
    assert set(found) == {found[0]}
    expected = [text for _, _, text in types.values()]
    assert [text for text, known in zip(found[0], expected, strict=True) if known is not None] == [
        known for known in expected if known is not None
    ]
    running.stop()


KEYS = {
    "binary(4)": ["x'00ff0000'", "x'80000001'", "x'ffffffff'"],
    "varchar(9) character set latin1": ["'é'", "'a'", "'€'"],
    "enum('z','b','a')": ["'z'", "'b'", "'a'"],
    "bit(9)": ["b'1'", "b'100000000'", "b'0'"],
    "double": ["0.1", "-1e300", "1e-7"],
    "bigint unsigned": ["18446744073709551615", "0", "7"],
    "timestamp(3)": ["'2026-01-31 12:34:56.5'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
}


def test_rows_are_found_by_keys_of_any_type(db, pipeline):
    for i, (kind, keys) in enumerate(KEYS.items()):
        db.run(f"CREATE TABLE k{i} (k {kind} PRIMARY KEY, v int)")
        db.run(*(f"INSERT INTO k{i} VALUES ({key}, {n})" for n, key in enumerate(keys)))
    running = pipeline(snapshot={"chunk_rows": 1})
    running.start()
    for i in range(len(KEYS)):
        running.wait_for_target(f"SELECT count(*) FROM {db.database}.k{i}", 3)
    for i, keys in enumerate(KEYS.values()):
        db.run(f"UPDATE k{i} SET v = v + 10 WHERE k = {keys[0]}", f"DELETE FROM k{i} WHERE k = {keys[1]}")
    running.caught_up()
    for i in range(len(KEYS)):
        with psycopg.connect(running.target) as target:
            left = target.execute(f"SELECT v FROM {db.database}.k{i} ORDER BY v").fetchall()  # type: ignore[arg-type]
        assert left == [(2,), (10,)], list(KEYS)[i]
    running.stop()


def test_a_zero_date_stops_its_table_until_the_target_takes_it_as_text(db, pipeline):
    db.run("CREATE TABLE t (id int PRIMARY KEY, d date)", "INSERT INTO t VALUES (1, '2026-01-31')")
    running = pipeline()
    running.start()
    running.wait_for_target(f"SELECT count(*) FROM {db.database}.t", 1)
    db.run("INSERT INTO t VALUES (2, '0000-00-00')")
    running.wait_for_target("SELECT state FROM ferryman.table_state", "blocked")
    with psycopg.connect(running.target, autocommit=True) as target:
        target.execute(f"ALTER TABLE {db.database}.t ALTER d TYPE text")  # type: ignore[arg-type]
    running.wait_for_target(f"SELECT string_agg(d, ' ' ORDER BY id) FROM {db.database}.t", "2026-01-31 0000-00-00")
    running.stop()
