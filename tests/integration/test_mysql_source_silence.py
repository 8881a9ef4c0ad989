"""A server that falls silent, with all connections standing: wherever capture waits for it, the wait has an end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from capture.source import SourceUnavailable
from capture.sources.mysql import chunks
from operate.local import ports
from runtime import mysql, mysql_url
from runtime.errors import Unreachable
from runtime.mysql_url import parse
from tests.support.mysql_source import Database
from tests.support.proxy import Proxy
from tests.support.sources import changes, found, identity_of, read_all, read_chunk, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from capture.sources.mysql.source import MySQLSource

pytestmark = pytest.mark.live

LOST = (SourceUnavailable, Unreachable)


class Link:
    """A database behind a proxy; sources go through it, statements of the test do not."""

    def __init__(self, db: Database) -> None:
        self.db = db
        there = parse(db.url)
        self.proxy = Proxy(ports.free_port(), there.port)
        self.url = mysql_url.make(
            host=ports.HOST, port=self.proxy.port, user=there.user, password=there.password, database=there.database,
            query="ssl-mode=DISABLED&connect-timeout=4",
        )  # fmt: skip

    def source(self) -> MySQLSource:
        return self.db.source(url=self.url, answer_timeout_seconds=4)

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.proxy.stall()
        try:
            yield
        finally:
            self.proxy.heal()


@pytest.fixture
def link(mysql_kind_db: str, pipeline_name: str) -> Iterator[Link]:
    made = Link(Database(mysql_kind_db, pipeline_name))
    made.db.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(2000))")
    yield made
    made.proxy.close()
    made.db.close()


def read_for_ever(source: MySQLSource) -> None:
    while True:
        source.read(100, 0.5)


@pytest.mark.slow
def test_a_login_that_is_not_answered_ends(link: Link) -> None:
    source = link.source()
    with link.silent(), pytest.raises(LOST):
        source.prepare()
    source.prepare()
    source.close()


def test_a_question_that_is_not_answered_ends(link: Link) -> None:
    with started(link.source()) as source:
        with link.silent(), pytest.raises(LOST):
            source.now()
        with pytest.raises(LOST):  # that connection is gone for good: capture begins anew
            source.tables()


@pytest.mark.slow
def test_a_stream_that_does_not_begin_ends(link: Link) -> None:
    source = link.source()
    identity = source.prepare()
    with link.silent(), pytest.raises(LOST):
        source.start(None, identity)
    source.close()


@pytest.mark.slow
def test_a_stream_that_falls_silent_ends_and_the_next_one_has_what_came_meanwhile(link: Link) -> None:
    identity = identity_of(link.source())
    with started(link.source()) as source:
        link.db.run("INSERT INTO t VALUES (1, 'a')")
        resume = read_all(source).resume
        with link.silent():
            link.db.run("INSERT INTO t VALUES (2, 'b')")
            with pytest.raises(LOST):
                read_for_ever(source)
    with started(link.source(), resume, identity) as source:
        assert [e.after[0] for e in changes(read_all(source))] == [b"2"]


@pytest.mark.slow
def test_a_chunk_whose_rows_stay_away_ends(link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link.db.run("INSERT INTO t VALUES (1, 'a')")
    with started(link.source()) as source:
        table, copy = found(source, "t"), chunks._copy
        plan = source.plan(table)[0]

        def silently(*arguments):
            with link.silent():
                return copy(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(chunks, "_copy", silently)
            with pytest.raises(LOST):
                read_chunk(source, table, tmp_path, plan=plan)
        assert list(tmp_path.iterdir()) == []
        assert read_chunk(source, table, tmp_path, plan=plan).rows == 1


def test_whoever_alters_a_table_does_not_wait_for_a_chunk_whose_plan_no_longer_holds(
    link: Link, tmp_path: Path
) -> None:
    with started(link.source()) as source:
        table = found(source, "t")
        plan = source.plan(table)[0]
        link.db.run("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, v(9))", "SET SESSION lock_wait_timeout = 30")
        assert read_chunk(source, table, tmp_path, plan=plan).stale
        link.db.run("ALTER TABLE t ADD COLUMN n int")


def test_without_a_limit_a_statement_may_take_its_time(mysql_kind_db: str) -> None:
    with mysql.connect(mysql_kind_db, program_name="test") as session, session.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert session._sock.gettimeout() is None
