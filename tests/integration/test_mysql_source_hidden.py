"""What a server keeps from whoever asks: capture gets it nevertheless, or says that it cannot."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from capture.source import SourceError
from runtime import mysql
from tests.support.mysql_source import Database
from tests.support.sources import changes, chunk_rows, found, read_all, read_chunk, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from capture.sources.mysql.source import MySQLSource

pytestmark = pytest.mark.live

MIB = 1 << 20


@contextmanager
def globally(db: Database, name: str, value: object) -> Iterator[None]:
    """Set a global variable for a while; sessions that are opened meanwhile have it."""
    before = db.value(f"SELECT @@global.{name}")
    db.run(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        db.run(f"SET GLOBAL {name} = {before}")


def lengths(source: MySQLSource, spool: Path) -> list[int]:
    rows = chunk_rows(source, read_chunk(source, found(source, "t"), spool))
    return [len(row[1]) for row in rows]


def test_text_for_which_the_server_gives_null_because_it_is_too_large_does_not_become_null(
    mysql_kind: str, mysql_kind_db: str, pipeline_name: str, tmp_path: Path
) -> None:
    db = Database(mysql_kind_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY, v longtext CHARACTER SET latin1)")
    db.run(f"INSERT INTO t VALUES (1, repeat('x', {2 * MIB})), (2, 'y')")
    with globally(db, "max_allowed_packet", MIB), started(db.source()) as source:
        if mysql_kind == "mariadb":  # its CAST is limited; MySQL's is not
            with pytest.raises(SourceError, match="text that is larger than"):
                read_chunk(source, found(source, "t"), tmp_path)
            assert list(tmp_path.iterdir()) == []
        else:
            assert lengths(source, tmp_path) == [2 * MIB, 1]
    with started(db.source()) as source:
        assert lengths(source, tmp_path) == [2 * MIB, 1]
    db.close()


def test_rows_of_several_packets_keep_their_neighbours(mysql_kind_db: str, pipeline_name: str, tmp_path: Path) -> None:
    db = Database(mysql_kind_db, pipeline_name)
    sizes = [1, MIB - 10, 16 * MIB - 9, 16 * MIB - 8, 2, 33 * MIB, 0, 3]  # behind a length of 8 bytes, or of less
    with globally(db, "max_allowed_packet", 64 * MIB):
        db.run("CREATE TABLE t (id int PRIMARY KEY, v longblob)")
        maker = Database(mysql_kind_db, pipeline_name)
        for place, size in enumerate(sizes):
            maker.run(f"INSERT INTO t VALUES ({place}, repeat(x'fe', {size}))")
        maker.run("INSERT INTO t VALUES (99, NULL)")
        maker.close()
        with started(db.source()) as source:
            rows = chunk_rows(source, read_chunk(source, found(source, "t"), tmp_path))
    assert [row[0] for row in rows] == [*(b"%d" % place for place in range(len(sizes))), b"99"]
    for size, row in zip(sizes, rows, strict=False):
        assert row[1] == b"\xfe" * size
    assert rows[-1][1] is None
    db.close()


@pytest.mark.mysql
def test_a_primary_key_that_the_server_made_and_hides_is_a_key_like_others(
    mysql_db: str, pipeline_name: str, tmp_path: Path
) -> None:
    maker = Database(mysql_db, pipeline_name)
    maker.run("SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE t (v int)")
    maker.run("INSERT INTO t VALUES (7)")
    with globally(maker, "show_gipk_in_create_table_and_information_schema", 0):
        with mysql.connect(mysql_db, program_name="test") as session, session.cursor() as cursor:
            cursor.execute("SELECT @@show_gipk_in_create_table_and_information_schema")
            assert cursor.fetchall() == ((1,),)
        with started(maker.source()) as source:
            table = found(source, "t")
            chunk = read_chunk(source, table, tmp_path)
            maker.run("INSERT INTO t VALUES (8)")
            batch = read_all(source)
            assert not table.keyless
            assert chunk_rows(source, chunk) == [(b"1", b"7")]
            assert [e.after for e in changes(batch)] == [(b"2", b"8")]
            assert batch.blocks[0].table == chunk.schema
    maker.close()


def test_columns_that_a_select_of_all_leaves_out_travel_like_others(
    mysql_kind_db: str, pipeline_name: str, tmp_path: Path
) -> None:
    db = Database(mysql_kind_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY, hidden varchar(9) INVISIBLE, v int)")
    db.run("INSERT INTO t (id, hidden, v) VALUES (1, 'a', 2), (3, NULL, 4)")
    with started(db.source()) as source:
        chunk = read_chunk(source, found(source, "t"), tmp_path)
        db.run("UPDATE t SET hidden = 'b' WHERE id = 1", "INSERT INTO t VALUES (5, 6)")
        batch = read_all(source)
        assert chunk_rows(source, chunk) == [(b"1", b"a", b"2"), (b"3", None, b"4")]
        assert [e.after for e in changes(batch)] == [(b"1", b"b", b"2"), (b"5", None, b"6")]
        assert batch.blocks[0].table == chunk.schema
    db.close()


def test_columns_that_were_added_at_once_are_in_rows_from_before_and_behind(
    mysql_kind_db: str, pipeline_name: str, tmp_path: Path
) -> None:
    """The server leaves the rows that are there as they are stored, and gives the default for what they lack."""
    db = Database(mysql_kind_db, pipeline_name)
    db.run("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 10), (2, 20)")
    db.run("ALTER TABLE t ADD COLUMN w varchar(9) DEFAULT 'older' AFTER id, ALGORITHM = INSTANT")
    with started(db.source()) as source:
        chunk = read_chunk(source, found(source, "t"), tmp_path)
        db.run("UPDATE t SET v = 21 WHERE id = 2", "DELETE FROM t WHERE id = 1")
        first = read_all(source)
        db.run("ALTER TABLE t ADD COLUMN x int DEFAULT 5 FIRST, ALGORITHM = INSTANT", "UPDATE t SET v = 22")
        second = read_all(source)
        assert chunk_rows(source, chunk) == [(b"1", b"older", b"10"), (b"2", b"older", b"20")]
        assert [(e.before, e.after) for e in changes(first)] == [
            ((b"2", b"older", b"20"), (b"2", b"older", b"21")),
            ((b"1", b"older", b"10"), None),
        ]
        (change,) = changes(second)
        assert (second.lost, change.after) == ({}, (b"5", b"2", b"older", b"22"))
        assert change.table.columns[0].missing == "5"
    db.close()
