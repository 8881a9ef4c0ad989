"""Rows of MariaDB through Kafka into PostgreSQL, by both daemons."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.mysql_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture
def db(mariadb_db: str) -> Iterator[Database]:
    made = Database(mariadb_db, f"flow_{secrets.token_hex(4)}")
    yield made
    made.close()


@pytest.fixture
def pipeline(db: Database, kafka: str, target_server: str, tmp_path: Path) -> Iterator[Pipeline]:
    with (
        fresh_database(target_server, "target") as target,
        closing(Pipeline(tmp_path, db.name, kafka, db.url, target)) as made,
    ):
        yield made


def test_what_is_there_is_copied_and_what_changes_follows(db: Database, pipeline: Pipeline) -> None:
    db.run(
        "CREATE TABLE keyed (id int PRIMARY KEY, v varchar(40))",
        "CREATE TABLE keyless (id int, v varchar(40))",
        "INSERT INTO keyed SELECT seq, concat('v', seq) FROM seq_1_to_1000",
        "INSERT INTO keyless SELECT seq DIV 2, 'twice' FROM seq_1_to_500",
    )
    pipeline.start()
    schema = db.database
    pipeline.wait_for_target(f"SELECT count(*) FROM {schema}.keyed", 1000)
    pipeline.wait_for_target(f"SELECT count(*) FROM {schema}.keyless", 500)
    db.run(
        "UPDATE keyed SET v = concat(v, '!') WHERE id <= 10",
        "DELETE FROM keyed WHERE id BETWEEN 11 AND 20",
        "UPDATE keyed SET id = id + 5000 WHERE id BETWEEN 21 AND 30",
        "DELETE FROM keyless WHERE id = 7 LIMIT 1",
        "TRUNCATE TABLE keyless",
        "INSERT INTO keyless VALUES (1, 'last'), (1, 'last')",
    )
    pipeline.wait_for_target(f"SELECT count(*) FROM {schema}.keyless WHERE v = 'last'", 2)
    for table in ("keyed", "keyless"):
        with psycopg.connect(pipeline.target) as target:
            copied = target.execute(f"SELECT id, v FROM {schema}.{table} ORDER BY 1, 2").fetchall()
        assert copied == sorted(db.rows(f"SELECT id, v FROM {table}"))
    pipeline.stop()


SWAPS = (
    # Two tables exchange their names, and one takes another's place, as tools that alter tables online do it.
    ["RENAME TABLE a TO aside, b TO a, aside TO b"],
    ["CREATE TABLE fresh LIKE a", "INSERT INTO fresh SELECT * FROM a", "RENAME TABLE a TO gone, fresh TO a", "DROP TABLE gone"],
)  # fmt: skip


def test_tables_that_take_each_other_s_names_amid_their_changes_end_as_at_the_source(
    db: Database, pipeline: Pipeline
) -> None:
    db.run(
        "CREATE TABLE a (id int PRIMARY KEY, v varchar(40))",
        "CREATE TABLE b LIKE a",
        "INSERT INTO a SELECT seq, 'of a' FROM seq_1_to_500",
        "INSERT INTO b SELECT seq, 'of b' FROM seq_250_to_900",
    )
    pipeline.start()
    pipeline.caught_up()
    for number, statements in enumerate(SWAPS * 2):
        for table in ("a", "b"):
            db.run(f"UPDATE {table} SET v = concat(v, ' before {number}') WHERE id % 7 = {number}")
        db.run(*statements)
        for table in ("a", "b"):
            db.run(
                f"INSERT INTO {table} VALUES ({1_000 + number}, 'behind')",
                f"DELETE FROM {table} WHERE id % 11 = {number}",
            )
        if number % 2:
            pipeline.caught_up()
    pipeline.caught_up()
    for table in ("a", "b"):
        with psycopg.connect(pipeline.target) as target:
            copied = target.execute(f"SELECT id, v FROM {db.database}.{table} ORDER BY 1").fetchall()
        assert copied == sorted(db.rows(f"SELECT id, v FROM {table}"))
    pipeline.stop()
