"""Tables to measure with."""

from __future__ import annotations

from typing import Any, Protocol

#: The key of a row that comes last, above all others: when it is there, so is everything before it.
MARK = 1_000_000_000


class Table(Protocol):
    """One table, made inside its server; ``connection`` is a session of the server's own kind."""

    name: str
    #: The condition that holds for the row with the key :data:`MARK` alone, and that its index answers.
    mark: str

    def create(self, connection: Any, rows: int) -> None:
        """Make it with ``rows`` rows and fresh statistics; the same rows every time, on any server."""

    def insert(self, connection: Any, first: int, last: int) -> None:
        """Insert the rows with the keys ``first``..``last`` in one statement."""
