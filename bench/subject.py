"""What is compared: something that carries a source's tables to topics, and topics to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.process import Process


class Subject(Protocol):
    """One subject between a source that all subjects share and a target database of its own.

    It starts nothing but what is asked for; every :class:`~bench.process.Process` that it returns is running, and its
    CPU time and memory are the subject's.
    """

    #: What it is called in results.
    name: str
    #: URL of its own target database.
    target: str
    #: Whether it can bring its own events to a target.
    applies: bool
    #: Messages that a snapshot puts into the topic beside the rows.
    opening: int

    def topic(self, table: str) -> str:
        """Return the topic of a table of the schema ``public``."""

    def announce(self) -> None:
        """Do what must be done before the first event, if anything: its schemas are registered."""

    def keep_changes(self, rows: int) -> None:
        """Make sure that every later change at the source is kept for it, and that the ``rows`` there are done with."""

    def settle(self, rows: int) -> None:
        """Bring those ``rows`` into its target, so that changes can be laid over them."""

    def capture(self) -> Process:
        """Start source -> topics."""

    def apply(self) -> Process:
        """Start topics -> target."""

    def pipeline(self) -> list[Process]:
        """Start both, as they would be run in earnest."""
