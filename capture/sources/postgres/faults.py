"""The driver's errors, translated at the edge into those of the contract: unavailable now, or refused for good."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import errors

from capture.source import SourceError, SourceUnavailable
from capture.sources.postgres.pgoutput import ProtocolError
from runtime.postgres import Reaction, describe, reaction

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSING: Final = frozenset({Reaction.RETRY, Reaction.RECONNECT, Reaction.SLOW_RETRY})
#: A table that was there a moment ago was dropped or renamed: the next look at the catalog tells.
_VANISHED: Final = (errors.UndefinedTable, errors.InvalidSchemaName)


@contextmanager
def translated(doing: str, fix: str = "") -> Iterator[None]:
    """Turn an error of the driver into SourceUnavailable or SourceError; ``doing`` says what was attempted.

    The driver's own error is not chained: its text may hold values of rows.
    """
    try:
        yield
    except psycopg.Error as error:
        raise from_driver(error, doing, fix) from None


@contextmanager
def readable() -> Iterator[None]:
    """Turn bytes of the stream that are no message into SourceError."""
    try:
        yield
    except ProtocolError as error:
        raise SourceError(f"the stream cannot be read: {error}", "report it, with the server's version") from None


def from_driver(error: psycopg.Error, doing: str, fix: str = "") -> SourceError:
    """Return the contract's error for one of the driver's."""
    what = f"{doing}: {describe(error)}"
    if reaction(error) in _PASSING or isinstance(error, _VANISHED):
        return SourceUnavailable(what, fix)
    return SourceError(what, fix)
