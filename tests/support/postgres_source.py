"""A PostgreSQL database for tests of the source: statements, and sources over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from capture.source import HistoryLost
from capture.sources.postgres.source import PostgresSource
from runtime.config import Owned, Selection, SourceConfig
from tests.support.sources import changes, read_all

if TYPE_CHECKING:
    from capture.source import Resume


class Database:
    """One source database; ``url`` is its owner's."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.conn = psycopg.connect(url, autocommit=True)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.conn.execute(statement.encode())

    def value(self, query: str) -> Any:
        row = self.conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def config(self, **settings: Any) -> SourceConfig:
        given = {"url": self.url, "slot": Owned(name=self.name), "publication": Owned(name=self.name), **settings}
        return SourceConfig(type="postgresql", **given)

    def source(self, *, include: str = "public.*", **settings: Any) -> PostgresSource:
        return PostgresSource(self.name, self.config(**settings), Selection.model_validate([{"include": include}]))

    def second(self) -> psycopg.Connection[Any]:
        """Another session, with a transaction that stays open."""
        return psycopg.connect(self.url)


def begins_anew(db: Database, saved: Resume, identity: dict[str, Any], reason: str = "") -> None:
    """See that a position cannot be resumed from, and that a stream without one has what is written from now on."""
    source = db.source()
    try:
        now = source.prepare()
        with pytest.raises(HistoryLost, match=reason):
            source.start(saved, identity)
        source.start(None, now)  # as capture goes on, with every table to be snapshotted anew
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (2)")
        assert [e.after for e in changes(read_all(source))] == [(b"2",)]
    finally:
        source.close()
