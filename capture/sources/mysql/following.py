"""What the stream asks of whoever knows the tables: the contract between assembler and versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from capture.sources.mysql.changes import Reading
    from capture.sources.mysql.log import ddl
    from capture.sources.mysql.log.coordinates import Place
    from schemas.table import TableSchema


@dataclass(frozen=True, slots=True)
class Followed:
    """A table version of the stream.

    ``lost`` says why what was published of the table before no longer holds, ``unreadable`` why none of its rows can be
    read; then there is no ``reading``.
    """

    name: str
    reading: Reading | None = None
    lost: str | None = None
    unreadable: str | None = None


class Follower(Protocol):
    """Who knows the tables: :class:`capture.sources.mysql.versions.Versions`, or a test."""

    def follow(self, body: bytes) -> Followed | None:
        """Return the version of a table that the log announces; None for a table that is none of ours."""

    def outdated(self, effect: ddl.Effect, at: Place) -> list[str]:
        """Return the names of tables of which the catalog told us something that this ALTER may have changed."""

    def truncated(self, effect: ddl.Effect) -> tuple[str, TableSchema] | None:
        """Return the name and version of a table of ours that was emptied."""

    def concerned(self, effect: ddl.Effect) -> list[str]:
        """Return the names of tables of ours that a statement concerns."""

    def replaced(self, effect: ddl.Effect, at: str) -> None:
        """A table was dropped, renamed or made anew: its rows are none of ours until it was looked at again."""

    def all_names(self) -> list[str]:
        """Return the names of all tables of ours."""
