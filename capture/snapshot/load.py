"""One table while it is loading: which chunks are out, which are in, what the stream said meanwhile. Pure.

Rule numbers refer to docs/snapshot-merge.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capture.snapshot.aside import Aside
from capture.snapshot.track import Key, Todo, Track, changes
from capture.spans import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from capture.source import ChunkRead, Mark, Plan
    from schemas.block import Block
    from schemas.positions import TableRecord

#: Keys asked for in one request of rows to be read again.
KEYS_PER_REQUEST = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A chunk that a worker was asked for: chunk ``index`` of ``plan``, or the rows of ``keys``."""

    plan: Plan
    index: int
    keys: tuple[Key, ...] = ()


@dataclass(slots=True)
class Load:
    """The loading of one table in one run.

    ``fence`` marks where tracking began (rule 3). ``done`` are the chunks in the topic, ``out`` the ones asked for,
    ``landed`` those that came in and wait for the stream to pass their ``upto``. Below ``cursor`` every chunk is done
    or out. ``settled``: no transaction older than the fence runs any more.
    """

    fence: Mark
    todo: Todo
    aside: Aside
    done: set[int]
    plan: Plan | None = None
    chunks: int = 0
    track: Track = field(default_factory=Track)
    out: dict[int, Asked] = field(default_factory=dict)
    landed: dict[int, ChunkRead] = field(default_factory=dict)
    cursor: int = 0
    settled: bool = False

    @classmethod
    def begin(cls, record: TableRecord, fence: Mark, spool: Path) -> Load:
        """Begin or go on with the loading that a record tells of; the plan is compared when a chunk is read."""
        return cls(fence, Todo(record.todo), Aside(spool), numbers(record.done))

    def use(self, plan: Plan, chunks: int, *, same: bool) -> None:
        """Cut the table by ``plan``; unless it is the ``same`` as before, nothing read under the old one counts."""
        self.plan, self.chunks, self.cursor = plan, chunks, 0
        if not same:
            self.done = set()

    def replan(self) -> None:
        """The plan died (rule 2): all chunks are read again, those that are out are thrown away when they come in."""
        self.plan, self.chunks, self.done = None, 0, set()

    def track_anew(self, fence: Mark) -> None:
        """Forget the events tracked so far: chunks that may have missed them fail the new fence and are read again."""
        self.fence, self.settled, self.track = fence, False, Track()
        for ticket in self.out:
            self.track.asked(ticket)

    def start_over(self) -> None:
        """Read all chunks again: their rows stand in for every key on the list."""
        self.done, self.cursor, self.todo = set(), 0, Todo()

    @property
    def rows_in(self) -> bool:
        """Whether every chunk is in the topic."""
        return self.plan is not None and len(self.done) == self.chunks

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be read."""
        return self.rows_in and not self.todo.keys and not self.out

    def see(self, block: Block) -> None:
        """Take in a published block of the stream."""
        rows_in = self.rows_in
        for transaction, change in changes(block):
            self.track.add(transaction, change)
            self.todo.see(change, rows_in=rows_in)

    def next(self) -> Asked | None:
        """Return what a worker should read next, if anything: chunks first, then the keys to be read again."""
        if self.plan is None:
            return None
        out = {asked.index for asked in self.out.values() if not asked.keys}
        while self.cursor < self.chunks and (self.cursor in self.done or self.cursor in out):
            self.cursor += 1
        if self.cursor < self.chunks:
            return Asked(self.plan, self.cursor)
        if not self.rows_in or not self.todo.keys or any(asked.keys for asked in self.out.values()):
            return None
        return Asked(self.plan, -1, tuple(sorted(self.todo.keys)[:KEYS_PER_REQUEST]))

    def asked(self, ticket: int, asked: Asked) -> None:
        """A worker was asked."""
        self.out[ticket] = asked
        self.track.asked(ticket)

    def land(self, ticket: int, chunk: ChunkRead) -> None:
        """A worker's chunk came in."""
        self.landed[ticket] = chunk
        self.track.read(ticket, chunk.visibility)

    def holds(self, ticket: int) -> bool:
        """Whether a chunk was read under the plan in force (rows read by key need none)."""
        asked = self.out[ticket]
        return bool(asked.keys) or asked.plan is self.plan

    def drop(self, ticket: int) -> None:
        """A chunk was published or is thrown away."""
        asked = self.out.pop(ticket, None)
        if asked is not None and not asked.keys and asked.index not in self.done:
            self.cursor = min(self.cursor, asked.index)
        self.landed.pop(ticket, None)
        self.track.done(ticket)


def note_settled(loads: Iterable[Load], settled: Callable[[Mark], bool]) -> None:
    """Note whose fence is settled. Tables that opened together share theirs: one question for all of them."""
    answers: dict[int, bool] = {}
    for load in loads:
        if not load.settled:
            if id(load.fence) not in answers:
                answers[id(load.fence)] = settled(load.fence)
            load.settled = answers[id(load.fence)]
