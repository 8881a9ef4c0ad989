"""The contract suite's worlds for MySQL and MariaDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.contract.world import SqlWorld
from tests.support.mysql_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class MySQLWorld(SqlWorld):
    """See :class:`tests.contract.world.World`."""

    keeps_our_place = False

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._db = db

    def source(self) -> Source:
        return self._db.source()
