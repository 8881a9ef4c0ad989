"""The contract suite's world for PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.contract.world import SqlWorld
from tests.support.postgres_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from capture.source import Source
    from tests.contract.world import World


@contextmanager
def world(request: pytest.FixtureRequest, _server: str) -> Iterator[World]:
    """A database of the test's own on the source server."""
    yield PostgresWorld(Database(request.getfixturevalue("source_db"), request.getfixturevalue("pipeline_name")))


class PostgresWorld(SqlWorld):
    """See :class:`tests.contract.world.World`."""

    keeps_our_place = True

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._db = db

    def source(self) -> Source:
        return self._db.source()

    def create(self, table: str, *, keyed: bool) -> None:
        super().create(table, keyed=keyed)
        if not keyed:
            self._db.run(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
