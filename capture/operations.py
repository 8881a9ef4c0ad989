"""The contract between the command line and a source folder: what commands ask of a source beside the daemon.

Each folder keeps it in ``operations.py``, as the constant ``OPERATIONS``. Everything raises Unreachable when the source
does not answer or refuses us, and SourceError for what a person has to mend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Self

    from runtime.config import Selection, SourceConfig
    from runtime.errors import Fault
    from schemas.positions import StreamRecord


class LogMark(Protocol):
    """A place in the source's log after everything that was committed when it was taken."""

    def missing(self, stream: StreamRecord) -> str | None:
        """Return in words what lies between the saved position and the mark; None: everything before it is saved."""


@dataclass(frozen=True, slots=True)
class LogState:
    """The source's log as the server shows it. Sizes are in bytes, None where they are not known.

    ``behind_bytes`` lie after the saved position. ``retained_bytes`` does the server keep. ``status`` is reserved,
    extended or unreserved while the log at that position is there, lost when it is gone, missing without a slot.
    ``active``: a daemon reads the log now; None: the server cannot tell.
    """

    status: str | None
    active: bool | None
    behind_bytes: int | None
    retained_bytes: int | None


class Session(Protocol):
    """A session at the source, for looks at its log. Not thread-safe; use as a context manager."""

    def __enter__(self) -> Self:
        """Return the session."""

    def __exit__(self, *_: object) -> None:
        """End it."""

    def mark(self) -> LogMark:
        """Return a mark of now, and see to it that an idle stream passes it."""

    def look(self, stream: StreamRecord | None) -> LogState:
        """Return the state of the log, as seen from the saved position; None: there is none yet."""


class Operations(Protocol):
    """What the command line can do with one kind of source."""

    def session(self, pipeline: str, config: SourceConfig) -> Session:
        """Open a session for the pipeline of this name."""

    def check(self, config: SourceConfig, selection: Selection) -> list[Fault]:
        """Return everything that keeps capture from running; changes nothing."""

    def warnings(self, config: SourceConfig, selection: Selection) -> list[Fault]:
        """Return what the source, and the selected tables, had better have."""

    def made(self, config: SourceConfig) -> list[str]:
        """Return in words what :meth:`teardown` would take away now."""

    def teardown(self, config: SourceConfig) -> list[str]:
        """Take away what capture made at the source and return it in words; safe to call twice."""
