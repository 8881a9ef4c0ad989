"""What a server keeps out of its log by its configuration is told before a change is missed, not after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from capture.source import SourceError
from capture.sources.mysql import checks, server
from operate.local.stack import SERVERS
from runtime import mysql
from runtime.config import Selection
from tests.support.databases import with_database
from tests.support.mysql_source import Database
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from operate.local.mysql_server import MySQLServer

pytestmark = pytest.mark.live

SELECTION = [{"include": "shop.*"}, {"include": "hidden.*"}]


class Servers:
    """Starts one server with one set of options after another, over the same data."""

    def __init__(self, kind: str, session: SessionStack) -> None:
        self._kind, self._folder, self._running = kind, session.folder / "filtering", None

    def start(self, **settings: str) -> Database:
        self.stop()
        options = {name.replace("_", "-"): value for name, value in settings.items()}
        self._running = self._made(options)
        self._running.start()
        address = self._running.address
        with mysql.connect(address, program_name="test") as connection, connection.cursor() as cursor:
            for database in ("shop", "hidden"):
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {database}.t (id int PRIMARY KEY)")
        return Database(with_database(address, "shop"), "filters")

    def _made(self, settings: dict[str, str]) -> MySQLServer:
        return SERVERS[self._kind](self._folder, settings=settings)

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()

    def remove(self) -> None:
        if self._running is not None:
            self._running.remove()


@pytest.fixture
def servers(mysql_kind: str, mysql_kind_server: str) -> Iterator[Servers]:
    """A server of this test alone. (``mysql_kind_server`` says whether one can be had at all.)"""
    session = SessionStack()
    made = Servers(mysql_kind, session)
    yield made
    made.remove()
    session.close()


def faults(db: Database) -> list[tuple[str, str]]:
    return [(f.where, f.what) for f in checks.check(db.config(), Selection.model_validate(SELECTION))]


def blocked(db: Database) -> dict[str, str | None]:
    source = db.source(include="*.t")
    source.prepare()
    found = {table.name: table.reason for table in source.tables()}
    source.close()
    return found


def test_what_the_log_leaves_out_is_no_table_to_stream_and_no_replica_to_read(
    servers: Servers, mysql_kind: str
) -> None:
    db = servers.start()
    assert faults(db) == []
    assert blocked(db) == {"shop.t": None, "hidden.t": None}

    not_logged = "changes of its database are not logged"
    for options in ({"binlog_ignore_db": "hidden"}, {"binlog_do_db": "shop"}):
        db = servers.start(**options)
        assert faults(db) == [("hidden", not_logged)]
        assert blocked(db) == {"shop.t": None, "hidden.t": not_logged}

    db = servers.start(log_slave_updates="OFF", replicate_ignore_db="hidden", skip_slave_start="ON")
    assert blocked(db) == {"shop.t": None, "hidden.t": None}  # it does not replicate yet
    db.run(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1"
        if mysql_kind == "mysql"
        else "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1"
    )
    assert faults(db) == [("source", server.SILENT_REPLICA[0])]
    warned = [w.what for w in checks.warnings(db.config(), Selection.model_validate(SELECTION))]
    assert any("(Replicate_Ignore_DB)" in what for what in warned)
    with pytest.raises(SourceError, match="does not log what it replicates"):
        blocked(db)
