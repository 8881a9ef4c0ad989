"""Which transactions a chunk's snapshot saw: rules 3 and 4 of the chunk merge. Pure.

Told by places in the server's own log. MariaDB and Percona Server know the place of a consistent snapshot: commits
become visible in the order of the log there. Elsewhere the worker holds the table still for the moment in which it
takes the snapshot and reads the end of the log, so that for this table both mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capture.sources.mysql.log.coordinates import Place

if TYPE_CHECKING:
    from schemas.block import Transaction


def transaction_id(begin: Place, server_id: int, gtid: str) -> str:
    """Return a transaction's id, in the form that :mod:`schemas.source_block` takes apart.

    ``file:offset`` of its beginning, behind an @ the number of the server that it was made on, and behind a blank its
    global id if it has one.
    """
    return f"{begin}@{server_id} {gtid}".rstrip()


def begin_of(transaction_id: str) -> Place:
    """Return where a transaction begins, from its id."""
    file, _, offset = transaction_id.split(" ", 1)[0].rpartition("@")[0].rpartition(":")
    return Place.of(file, int(offset))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that saw every transaction before ``place``, which is between two of them, and nothing else."""

    place: Place

    def includes(self, transaction: Transaction) -> bool:
        """Whether the snapshot saw this transaction's effects."""
        return begin_of(transaction.id) < self.place

    def after(self, fence: dict[str, Any]) -> bool:
        """Whether every transaction that was in the log when the fence was taken was seen."""
        return self.place >= Place.load(fence)
