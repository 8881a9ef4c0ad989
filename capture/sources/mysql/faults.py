"""The driver's errors, translated at the edge into those of the contract: unavailable now, or refused for good."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pymysql
from pymysql.constants import ER

from capture.source import SourceError, SourceUnavailable
from runtime.mysql import describe, transient

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A table that was there a moment ago was dropped, renamed or altered: the next look at the catalog tells.
_VANISHED: Final = frozenset(
    {
        ER.NO_SUCH_TABLE,
        ER.BAD_TABLE_ERROR,
        ER.BAD_DB_ERROR,
        ER.BAD_FIELD_ERROR,
        ER.TABLE_DEF_CHANGED,
    }
)


@contextmanager
def translated(doing: str, fix: str = "") -> Iterator[None]:
    """Turn an error of the driver into SourceUnavailable or SourceError; ``doing`` says what was attempted.

    The driver's own error is not chained: its text may hold values of rows.
    """
    try:
        yield
    except (pymysql.MySQLError, OSError) as error:
        raise from_driver(error, doing, fix) from None


def from_driver(error: Exception, doing: str, fix: str = "") -> SourceError:
    """Return the contract's error for one of the driver's."""
    what = f"{doing}: {describe(error)}"
    if transient(error) or (error.args and error.args[0] in _VANISHED):
        return SourceUnavailable(what, fix)
    return SourceError(what, fix)
