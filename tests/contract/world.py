"""What the contract suite needs of a database.

Each folder of ``capture/sources`` brings one in ``tests/contract/<folder>.py``: a context manager
``world(request, server)`` that gives a :class:`World` and takes it down again. ``SERVERS`` there names the kinds of
servers that the folder speaks to, each with the marks of its tests; without it there is one, called like the folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capture.source import Source


class World(Protocol):
    """A fresh database and sources over it. Tables have the columns ``id`` and ``v``; each call is one transaction.

    ``keeps_our_place``: the source itself remembers what was confirmed (a replication slot).
    """

    keeps_our_place: bool

    def source(self) -> Source:
        """Return a new source over the database, as a new daemon of the same pipeline would make it."""

    def create(self, table: str, *, keyed: bool) -> None:
        """Make a table, with ``id`` as its key or so that it is captured without one."""

    def insert(self, table: str, *ids: int) -> None:
        """Insert rows with these ids and some ``v``."""

    def update(self, table: str, *ids: int) -> None:
        """Change ``v`` of the rows with these ids."""

    def delete(self, table: str, *ids: int) -> None:
        """Delete the rows with these ids."""

    def insert_into(self, tables: Sequence[str], id_: int) -> None:
        """Insert one row into each of several tables, in one transaction."""


class Runs(Protocol):
    """A database that statements are run on, each committed by itself unless a transaction was begun."""

    def run(self, *statements: str) -> None:
        """Run statements one after another."""


class SqlWorld:
    """The part of a :class:`World` that every SQL database understands."""

    def __init__(self, db: Runs) -> None:
        self._runs = db

    def create(self, table: str, *, keyed: bool) -> None:
        """Make a table; where a table without a key needs more than that, the world adds it."""
        self._runs.run(f"CREATE TABLE {table} (id int {'PRIMARY KEY' if keyed else ''}, v text)")

    def insert(self, table: str, *ids: int) -> None:
        """Insert rows with these ids and some ``v``."""
        rows = [(i, f"'v{i}'") for i in ids]
        self._runs.run(f"INSERT INTO {table} VALUES {', '.join(f'({i}, {v})' for i, v in rows)}")

    def update(self, table: str, *ids: int) -> None:
        """Change ``v`` of the rows with these ids."""
        self._runs.run(f"UPDATE {table} SET v = concat(v, '!') WHERE id IN ({', '.join(map(str, ids))})")

    def delete(self, table: str, *ids: int) -> None:
        """Delete the rows with these ids."""
        self._runs.run(f"DELETE FROM {table} WHERE id IN ({', '.join(map(str, ids))})")

    def insert_into(self, tables: Sequence[str], id_: int) -> None:
        """Insert one row into each of several tables, in one transaction."""
        self._runs.run("BEGIN")
        for table in tables:
            self.insert(table, id_)
        self._runs.run("COMMIT")
