"""What `check` finds on MySQL and MariaDB, and that each fix is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capture.sources.mysql import checks
from runtime import mysql_url
from runtime.config import Selection
from tests.support.mysql_source import Database
from tests.support.sources import changes, read_all, started

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def db(mysql_kind_db: str, pipeline_name: str) -> Iterator[Database]:
    made = Database(mysql_kind_db, pipeline_name)
    made.run("CREATE TABLE t (id int PRIMARY KEY)")
    yield made
    made.close()


def selection(db: Database) -> Selection:
    return Selection.model_validate([{"include": f"{db.database}.*"}])


def whats(db: Database, **settings) -> list[str]:
    return [fault.what for fault in checks.check(db.config(**settings), selection(db))]


def test_a_server_that_is_in_order_has_no_faults(db):
    assert whats(db) == []


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [
        ("binlog_row_image", "MINIMAL", "FULL"),
        ("binlog_row_metadata", "MINIMAL", "FULL"),
        ("binlog_format", "STATEMENT", "ROW"),
    ],
)
def test_settings_that_leave_something_out_of_the_log_are_faults(db, setting, bad, good):
    db.run(f"SET GLOBAL {setting} = '{bad}'")
    try:
        faults = checks.check(db.config(), selection(db))
        assert [fault.what.split()[0] for fault in faults] == [setting]
        db.run(faults[0].fix.split(";")[0])
        assert whats(db) == []
    finally:
        db.run(f"SET GLOBAL {setting} = '{good}'")


def test_tables_that_cannot_be_captured_are_faults_with_their_fix(db):
    db.run("CREATE TABLE m (id int PRIMARY KEY) ENGINE = MyISAM")
    (fault,) = checks.check(db.config(), selection(db))
    assert fault.where == f"{db.database}.m"
    assert "MyISAM has no transactions" in fault.what
    db.run(fault.fix)
    assert whats(db) == []


def test_a_server_id_that_is_the_servers_own_is_a_fault(db):
    assert "has the server_id" in whats(db, server_id=db.value("SELECT @@server_id"))[0]


def test_a_user_without_privileges_is_told_which_are_missing(db):
    db.run("CREATE USER poor@'%' IDENTIFIED BY 'p'", f"GRANT SELECT ON {db.database}.t TO poor@'%'")
    try:
        given = mysql_url.parse(db.url)
        url = mysql_url.make(
            host=given.host, port=given.port, user="poor", password="p", database="", query="ssl-mode=DISABLED"
        )
        faults = checks.check(db.config(url=url), selection(db))
        assert any("REPLICATION" in fault.fix or "BINLOG MONITOR" in fault.fix for fault in faults)
        assert ("may not lock its tables" in str(faults)) == (mysql_kind(db) == "mysql")
    finally:
        db.run("DROP USER poor@'%'")


def mysql_kind(db: Database) -> str:
    return "mariadb" if "MariaDB" in db.value("SELECT VERSION()") else "mysql"


def test_what_foreign_keys_change_is_in_the_stream_or_warned_of(db):
    db.run(
        "CREATE TABLE child (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1)", "INSERT INTO child VALUES (10, 1)",
    )  # fmt: skip
    warned = [w.where for w in checks.warnings(db.config(), selection(db))]
    with started(db.source()) as source:
        db.run("DELETE FROM t")
        deleted = changes(read_all(source), "child")
    assert bool(deleted) != (f"{db.database}.child" in warned)
