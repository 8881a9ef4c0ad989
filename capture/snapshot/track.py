"""What the stream said of one loading table: which rows a chunk may have missed, which keys must be read again. Pure.

Rule numbers refer to docs/snapshot-merge.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from capture.source import key_text
from schemas.block import UNSENT, Op, Row, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capture.source import Visibility
    from schemas.block import Block
    from schemas.table import TableSchema

#: A message key in source form, as text by key column.
Key = tuple[str, ...]


class Change(NamedTuple):
    """One published event, reduced to what the merge needs.

    ``old`` and ``new`` are the row's key before and after (equal unless the key changed; None where the row did not
    exist before or does not exist after). ``partial`` is the new row image of an UPDATE that left columns unsent.
    """

    table: TableSchema
    op: Op
    old: Key | None
    new: Key | None
    partial: Row | None


def changes(block: Block) -> Iterator[tuple[Transaction, Change]]:
    """Yield the rows of a keyed block as changes."""
    table = block.table
    for i, op in enumerate(block.ops):
        before, after = block.before[i], block.after[i]
        new = None if after is None else key_text(table, after)
        old = new if before is None and op is Op.UPDATE else None if before is None else key_text(table, before)
        partial = after if op is Op.UPDATE and after is not None and UNSENT in after else None
        yield block.transactions[block.tx[i]], Change(table, op, old, new, partial)


@dataclass(slots=True)
class _Reading:
    """A chunk that was read: its view, and the chunks that were asked for before it was in."""

    visibility: Visibility
    waiting_for: set[int]


class Track:
    """The events of one table since tracking began, until every later chunk is known to have seen them.

    ``size`` counts them.
    """

    def __init__(self) -> None:
        self.size = 0
        self._events: deque[tuple[Transaction, list[Change]]] = deque()
        self._out: set[int] = set()
        self._read: deque[_Reading] = deque()

    def add(self, transaction: Transaction, change: Change) -> None:
        """Remember a published event."""
        if not self._events or self._events[-1][0] != transaction:
            self._events.append((transaction, []))
        self._events[-1][1].append(change)
        self.size += 1

    def unseen(self, visibility: Visibility) -> list[Change]:
        """Return the events that were published but not seen by a chunk, in order."""
        return [c for transaction, cs in self._events if not visibility.includes(transaction) for c in cs]

    def asked(self, ticket: int) -> None:
        """A chunk was asked for; its snapshot is taken at any time from now on."""
        self._out.add(ticket)

    def read(self, ticket: int, visibility: Visibility) -> None:
        """A chunk came in; whoever is asked for from now on sees at least what it saw."""
        self._read.append(_Reading(visibility, self._out - {ticket}))

    def done(self, ticket: int) -> None:
        """A chunk was published or thrown away: forget what nobody can have missed any more."""
        self._out.discard(ticket)
        for reading in self._read:
            reading.waiting_for.discard(ticket)
        while self._read and not self._read[0].waiting_for:
            seen = self._read.popleft().visibility
            self._events = deque((t, cs) for t, cs in self._events if not seen.includes(t))
            self.size = sum(len(cs) for _, cs in self._events)


class Todo:
    """Keys whose rows must be read again, because an event left columns unsent while the table was loading (rule 7)."""

    def __init__(self, keys: tuple[Key, ...] = ()) -> None:
        self.keys: set[Key] = set(keys)

    def see(self, change: Change, *, rows_in: bool) -> None:
        """Take in a published event; ``rows_in``: every chunk is in the topic, so the key's row is too."""
        if change.op is Op.TRUNCATE:
            self.keys.clear()
            return
        had = change.old in self.keys
        if change.old is not None:
            self.keys.discard(change.old)
        if change.new is None:
            return
        if change.partial is not None and (had or not rows_in):
            self.keys.add(change.new)
        else:
            self.keys.discard(change.new)
