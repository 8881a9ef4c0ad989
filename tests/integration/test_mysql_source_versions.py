"""Tables of MySQL and MariaDB that are altered in the middle of their rows: what is followed, and what is a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.mysql_source import Database
from tests.support.sources import changes, found, read_all, read_chunk, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

TABLE = """CREATE TABLE t (
    id int PRIMARY KEY, n int NULL, s varchar(20) NOT NULL, e enum('a', 'b'), d decimal(8, 2), x varchar(10),
    ts datetime(3), u int unsigned)"""
ROW = "INSERT INTO t (id, n, s, e, d, x, ts, u) VALUES ({}, 1, 's', 'b', 1.5, 'x', '2024-01-02 03:04:05.678', 7)"


@pytest.fixture
def db(mysql_kind_db: str, pipeline_name: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, pipeline_name)
    made.run(TABLE, ROW.format(1))
    yield made
    made.close()


def step(db: Database, *statements: str):
    """Alter a table between two of its rows; return what was read and the version that the catalog has."""
    with started(db.source()) as source:
        source.schema(found(source, "t"))  # as when its snapshot opens
        db.run(ROW.format(2), *statements, "UPDATE t SET id = id + 10 WHERE id = 2")
        return read_all(source), source.schema(found(source, "t"))


@pytest.mark.parametrize(
    "alter",
    [
        "ADD COLUMN c varchar(10)",
        "ADD COLUMN c int FIRST, ADD COLUMN k int AFTER n",
        "DROP COLUMN x",
        "MODIFY n bigint",
        "MODIFY s varchar(200) NOT NULL",
        "MODIFY x text",
        "MODIFY e enum('a', 'b', 'c')",
        "MODIFY d decimal(12, 2)",
        "MODIFY ts datetime(6)",
        "MODIFY u bigint unsigned",
        "MODIFY s varchar(20) NULL",
        "MODIFY s varchar(20) CHARACTER SET latin1 NOT NULL",
        "CONVERT TO CHARACTER SET utf8mb3",
        "MODIFY n int FIRST",
        "ADD INDEX (n)",
        "COMMENT 'a table', MODIFY n int COMMENT 'a number'",
        "ALTER n SET DEFAULT 5",
        "ENGINE = InnoDB",
    ],
)
def test_a_change_that_keeps_every_value_is_followed(db, alter):
    batch, now = step(db, f"ALTER TABLE t {alter}")
    assert batch.lost == {}
    inserted, updated = changes(batch)
    assert updated.table == now
    assert len(updated.after) == len(now.columns)
    assert inserted.order < updated.order


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        ("RENAME COLUMN x TO y", "does not tell whether it was renamed"),
        ("CHANGE x y varchar(10)", "does not tell whether it was renamed"),
        ("MODIFY s varchar(20) NOT NULL, MODIFY n int NOT NULL", "column n changed its type"),
        ("MODIFY n varchar(20)", "column n changed its type"),
        ("MODIFY n smallint", "column n changed its type"),
        ("MODIFY u int", "column u changed its type"),
        ("MODIFY e enum('b', 'a')", "column e changed its type"),
        ("MODIFY d decimal(8, 1)", "column d changed its type"),
        ("MODIFY ts datetime", "column ts changed its type"),
        ("MODIFY s varchar(5) NOT NULL", "column s changed its type"),
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, s)", "its key was changed"),
        ("ADD COLUMN c int NOT NULL", "that the log does not tell"),
        ("ADD COLUMN c timestamp DEFAULT CURRENT_TIMESTAMP", "that the log does not tell"),
        ("ADD COLUMN c int AS (id + 1) STORED", "that the log does not tell"),
        ("ADD COLUMN c int NOT NULL AUTO_INCREMENT UNIQUE", "that the log does not tell"),
    ],
)
def test_a_change_that_alters_stored_values_without_events_is_a_loss(db, alter, reason):
    batch, _ = step(db, f"ALTER TABLE t {alter}")
    assert reason in batch.lost[f"{db.database}.t"]
    assert [e.op.value for e in changes(batch)] == ["c"]  # nothing behind it goes on


@pytest.mark.parametrize(
    ("column", "missing"),
    [
        ("c int NOT NULL DEFAULT 5", "5"),
        ("c int DEFAULT NULL", None),
        ("c bigint unsigned DEFAULT '18446744073709551615'", "18446744073709551615"),
        ("c decimal(8, 3) NOT NULL DEFAULT -1.5", "-1.500"),
        ("c varchar(20) NOT NULL DEFAULT 'it''s a \\\\ 5'", "it's a \\ 5"),
        ("c varchar(9) DEFAULT ''", ""),
        ("c enum('x', 'y') NOT NULL DEFAULT 'y'", "y"),
        ("c date DEFAULT '2024-02-29'", "2024-02-29"),
    ],
)
def test_a_column_that_is_added_brings_the_value_of_the_rows_that_were_there(db, column, missing):
    batch, now = step(db, f"ALTER TABLE t ADD COLUMN {column}")
    assert batch.lost == {}
    assert changes(batch)[-1].table == now
    assert now.columns[-1].missing == missing


def test_a_default_that_was_changed_before_the_stream_came_there_is_a_loss(db):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        db.run("ALTER TABLE t ADD c int DEFAULT 5", ROW.format(2), "ALTER TABLE t ALTER c SET DEFAULT 6", ROW.format(3))
        assert "altered again" in read_all(source).lost[f"{db.database}.t"]
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        db.run("ALTER TABLE t ADD k int DEFAULT 5", ROW.format(4))
        assert read_all(source).lost == {}
        db.run("ALTER TABLE t ALTER k SET DEFAULT 6", ROW.format(5))
        assert read_all(source).lost == {}


def test_a_column_that_is_dropped_and_added_again_is_a_loss(db):
    batch, _ = step(
        db, "ALTER TABLE t DROP COLUMN x", "INSERT INTO t (id, s) VALUES (5, '')", "ALTER TABLE t ADD x int"
    )
    assert "dropped and added again" in batch.lost[f"{db.database}.t"]


def test_a_loss_is_noticed_without_any_row(db):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        db.run("ALTER TABLE t MODIFY n varchar(20)")
        source.tables()
        assert "column n" in read_all(source).lost[f"{db.database}.t"]


def test_a_change_that_was_made_while_capture_was_down_is_noticed(db):
    source = db.source()
    identity = source.prepare()
    source.start(None, identity)
    source.publish(source.tables())
    source.schema(found(source, "t"))
    db.run(ROW.format(2))
    resume = read_all(source).resume
    source.close()
    db.run("ALTER TABLE t MODIFY n varchar(20)")
    with started(db.source(), resume, identity) as source:
        assert "column n" in read_all(source).lost[f"{db.database}.t"]


def test_rows_behind_a_change_that_the_catalog_is_ahead_of_have_the_columns_of_the_log(db):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        db.run("ALTER TABLE t ADD c int", ROW.format(3), "ALTER TABLE t ADD k int", ROW.format(4))
        first, second = changes(read_all(source))
    assert [column.name for column in first.table.columns][8:] == ["c"]
    assert [column.name for column in second.table.columns][8:] == ["c", "k"]


def test_a_chunk_has_the_version_of_the_stream_after_every_change(db, tmp_path):
    batch, now = step(db, "ALTER TABLE t ADD c varchar(3) CHARACTER SET ucs2 COMMENT 'x', ADD y year, ADD b bit(9)")
    with started(db.source()) as source:
        chunk = read_chunk(source, found(source, "t"), tmp_path)
        db.run("UPDATE t SET n = 5")
        streamed = read_all(source).blocks[0].table
    assert chunk.schema == streamed == now == changes(batch)[-1].table
