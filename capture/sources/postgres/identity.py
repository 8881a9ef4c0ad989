"""Replica identity: which old values the log carries, and which columns may therefore be the message key. Pure.

Source: PostgreSQL documentation, ALTER TABLE, "REPLICA IDENTITY".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT: Final = "d"
NOTHING: Final = "n"
FULL: Final = "f"
INDEX: Final = "i"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the catalog says of a table's keys: column names in index order, empty where there is no such index.

    ``primary_deferrable``: the server does not take such a primary key as replica identity. ``index`` is the valid
    index chosen by REPLICA IDENTITY USING INDEX.
    """

    identity: str
    primary: tuple[str, ...] = ()
    primary_deferrable: bool = False
    index: tuple[str, ...] = ()

    def identity_columns(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns whose old values the server sends; empty: it refuses UPDATE and DELETE if published."""
        if self.identity == FULL:
            return columns
        if self.identity == INDEX:
            return self.index
        if self.identity == DEFAULT and not self.primary_deferrable:
            return self.primary
        return ()


def message_key(identity: str, sent: tuple[str, ...], primary: tuple[str, ...]) -> tuple[str, ...]:
    """Return the key's columns in order; empty: rows are known by their full image only.

    ``sent`` are the columns of the replica identity as the log shows them; ``primary`` is the primary key as the
    catalog shows it now, which may be newer, so it never overrules the log. The message key must lie within the
    replica identity (rule 6). A unique index that is not the replica identity is no key: its columns may be null.
    """
    if identity == FULL:
        return primary if set(primary) <= set(sent) else ()
    if identity == INDEX:
        return primary if primary and set(primary) <= set(sent) else sent
    return primary if set(primary) == set(sent) else sent
