"""Tables to measure with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import psycopg

#: The key of a row that comes last, above all others: when it is there, so is everything before it.
MARK = 1_000_000_000


class Table(Protocol):
    """One table of the schema ``public``."""

    name: str
    #: The condition that holds for the row with the key :data:`MARK` alone, and that its index answers.
    mark: str

    def create(self, connection: psycopg.Connection, rows: int) -> None:
        """Make it with ``rows`` rows and fresh statistics; the same rows every time, on any server."""

    def insert(self, connection: psycopg.Connection, first: int, last: int) -> None:
        """Insert the rows with the keys ``first``..``last`` in one statement."""
