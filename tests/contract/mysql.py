"""The contract suite's worlds for MySQL and MariaDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.mysql_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capture.source import Source
    from tests.contract.world import World


#: MariaDB runs everywhere, MySQL where one can be had.
SERVERS: Final = {"mariadb": (), "mysql": (pytest.mark.mysql,)}


@contextmanager
def world(request: pytest.FixtureRequest, server: str) -> Iterator[World]:
    """A database of the test's own on the server."""
    db = Database(request.getfixturevalue(f"{server}_db"), request.getfixturevalue("pipeline_name"))
    try:
        yield MySQLWorld(db)
    finally:
        db.close()


class MySQLWorld:
    """See :class:`tests.contract.world.World`."""

    keeps_our_place = False

    def __init__(self, db: Database) -> None:
        self._db = db

    def source(self) -> Source:
        return self._db.source()

    def create(self, table: str, *, keyed: bool) -> None:
        self._db.run(f"CREATE TABLE {table} (id int {'PRIMARY KEY' if keyed else ''}, v text)")

    def insert(self, table: str, *ids: int) -> None:
        self._db.run(f"INSERT INTO {table} VALUES {', '.join(f'({i}, concat(char(118), {i}))' for i in ids)}")

    def update(self, table: str, *ids: int) -> None:
        self._db.run(f"UPDATE {table} SET v = concat(v, '!') WHERE id IN ({_list(ids)})")

    def delete(self, table: str, *ids: int) -> None:
        self._db.run(f"DELETE FROM {table} WHERE id IN ({_list(ids)})")

    def insert_into(self, tables: Sequence[str], id_: int) -> None:
        self._db.run("BEGIN")
        for table in tables:
            self.insert(table, id_)
        self._db.run("COMMIT")


def _list(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids))
