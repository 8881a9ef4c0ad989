"""The contract suite's world for PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.postgres_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from capture.source import Source
    from tests.contract.world import World


@contextmanager
def world(request: pytest.FixtureRequest, _server: str) -> Iterator[World]:
    """A database of the test's own on the source server."""
    yield PostgresWorld(Database(request.getfixturevalue("source_db"), request.getfixturevalue("pipeline_name")))


class PostgresWorld:
    """See :class:`tests.contract.world.World`."""

    keeps_our_place = True

    def __init__(self, db: Database) -> None:
        self._db = db

    def source(self) -> Source:
        return self._db.source()

    def create(self, table: str, *, keyed: bool) -> None:
        self._db.run(f"CREATE TABLE {table} (id int {'PRIMARY KEY' if keyed else ''}, v text)")
        if not keyed:
            self._db.run(f"ALTER TABLE {table} REPLICA IDENTITY FULL")

    def insert(self, table: str, *ids: int) -> None:
        self._db.run(f"INSERT INTO {table} SELECT id, 'v' || id FROM unnest(ARRAY[{_list(ids)}]) id")

    def update(self, table: str, *ids: int) -> None:
        self._db.run(f"UPDATE {table} SET v = v || '!' WHERE id IN ({_list(ids)})")

    def delete(self, table: str, *ids: int) -> None:
        self._db.run(f"DELETE FROM {table} WHERE id IN ({_list(ids)})")

    def insert_into(self, tables: Sequence[str], id_: int) -> None:
        with self._db.conn.transaction():
            for table in tables:
                self.insert(table, id_)


def _list(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
