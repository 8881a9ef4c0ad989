"""The snapshot engine: decides, batch by batch, what of the stream and of the chunks is published, and in which order.

No input or output of its own but through the source and the pool, which a simulation replaces in tests. Rule numbers
refer to docs/snapshot-merge.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from capture.snapshot.load import Load, note_settled
from capture.snapshot.numbering import Numbering
from capture.snapshot.overlay import Overlay
from capture.snapshot.settle import settle
from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable
from capture.spans import ranges
from runtime import failpoints
from schemas.block import Op, Origin
from schemas.columnar.block import rows_of
from schemas.order import OrderKey
from schemas.positions import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from capture.snapshot.numbering import Standing
    from capture.snapshot.workers import Outcome, Pool
    from capture.source import Batch, Mark, Source
    from capture.tables import TableState
    from schemas.block import Transaction
    from schemas.columnar.block import AnyBlock
    from schemas.table import TableSchema

log = structlog.get_logger()

#: Tables that are not loaded yet.
_MOVING: Final = (Phase.PENDING, Phase.SNAPSHOTTING)

#: Events of a loading table that are tracked, some 100 MB of them.
EVENTS_TRACKED = 200_000

#: Keys of a loading table that are listed to be read again; they are part of its saved record.
KEYS_LISTED = 50_000


class Engine:
    """All tables of one run. Call :meth:`absorb` for each batch, then :meth:`advance` when between transactions."""

    def __init__(
        self, source: Source, pool: Pool, standing: Standing, tables: dict[str, TableState], spool: Path
    ) -> None:
        self.tables = tables
        self._source, self._pool, self._spool = source, pool, spool
        self._numbering = Numbering(standing)
        self._tickets: dict[int, tuple[str, Load]] = {}
        self._by_name: dict[tuple[str, str], TableState] = {}
        self._parts: dict[str, Iterator[AnyBlock]] = {}

    # --- what changes from outside ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the run: pending tables get a new floor, loading ones are tracked from here (rules 3 and 10)."""
        fence = self._source.fence()
        for state in self.tables.values():
            if state.record.phase is Phase.SNAPSHOTTING:
                state.load = Load.begin(state.record, fence, self._spool)
        self.settle()

    def settle(self) -> list[TableState]:
        """Tables were added, removed or requested: note where snapshots may open, after all of it; return those."""
        self._by_name = {(s.found.namespace, s.found.table): s for s in self.tables.values() if s.found is not None}
        waiting = [s for s in self.tables.values() if s.record.phase is Phase.PENDING and s.floor is None and s.found]
        for state in waiting:
            state.version = self._source.schema(state.found) if state.found else None
            self._source.keep_alive()
        floor = self._source.now() if waiting else None
        for state in waiting:
            state.floor = floor
        return waiting

    def resync(self, name: str, reason: str) -> None:
        """Ask for a new snapshot of a table; :meth:`settle` must follow."""
        self._parts.pop(name, None)
        self.tables[name].request(reason)

    def halt(self, name: str, phase: Phase, reason: str, fix: str) -> None:
        """Publish nothing more of a table until somebody acts."""
        self._parts.pop(name, None)
        self.tables[name].halt(phase, reason, fix)

    def too_large(self, block: AnyBlock, reason: str) -> None:
        """A row of this table cannot be published: what follows it may not be either."""
        name = self._by_name[block.table.namespace, block.table.name].record.table
        fix = (
            f"raise topics.max_message_bytes and the topic's max.message.bytes; then: ferryman resync PIPELINE '{name}'"
        )
        self.halt(name, Phase.NEEDS_RESYNC, reason, fix)
        log.error("table.needs_resync", table=name, reason=reason)

    @property
    def at(self) -> Transaction:
        """The last transaction read."""
        return self._numbering.at

    @property
    def busy(self) -> bool:
        """Whether any snapshot is under way or waiting to open."""
        return any(state.record.phase in _MOVING for state in self.tables.values())

    # --- the stream ------------------------------------------------------------------------------------------------

    def absorb(self, batch: Batch) -> Iterator[AnyBlock]:
        """Yield what of a batch is published now; the rest is set aside or belongs to no table of ours."""
        for block in batch.blocks:
            state = self._by_name.get((block.table.namespace, block.table.name))
            if state is not None:
                yield from self._stream(state, block)
        for name, reason in batch.lost.items():
            if name in self.tables:
                self._lose(self.tables[name], reason)
        if batch.at is not None:
            self._numbering.at = batch.at

    def _stream(self, state: TableState, block: AnyBlock) -> Iterator[AnyBlock]:
        if state.record.phase not in (Phase.SNAPSHOTTING, Phase.STREAMING):
            return
        if block.table.keyless != state.record.keyless:
            self._lose(state, "its key was added or dropped")
            return
        block.incarnation = self._numbering.incarnation
        if state.load is not None and state.record.keyless:
            state.load.aside.add(rows_of(block))
            return
        if state.load is not None:
            state.load.see(rows_of(block))
            self._bound(state, state.load)
        yield self._sent(state, block)

    def _bound(self, state: TableState, load: Load) -> None:
        """Keep memory and the saved record small when a huge transaction meets a loading table: read more instead."""
        if load.track.size > EVENTS_TRACKED:
            load.track_anew(self._source.fence())
            log.info("snapshot.tracking_anew", table=state.record.table)
        if len(load.todo.keys) > KEYS_LISTED:
            load.start_over()
            state.change(done=(), rows_done=0)
            log.info("snapshot.starts_over", table=state.record.table)

    def _lose(self, state: TableState, reason: str) -> None:
        if state.record.phase in (Phase.SNAPSHOTTING, Phase.STREAMING):
            self._parts.pop(state.record.table, None)
            state.halt(Phase.NEEDS_RESYNC, reason, f"ferryman resync PIPELINE '{state.record.table}'")
            log.error("table.needs_resync", table=state.record.table, reason=reason)

    # --- between two transactions ----------------------------------------------------------------------------------

    def advance(self) -> Iterator[AnyBlock]:
        """Open, ask, publish chunks, finish: whatever can go on now. Only between two transactions (rule 8)."""
        moving = [state for state in self.tables.values() if state.record.phase in _MOVING]
        yield from self._open_all([state for state in moving if self._may_open(state)])
        self._collect()
        for state in moving:
            if state.load is not None:
                yield from self._land(state, state.load)
                self._finish(state)
        self._ask([state for state in moving if state.load is not None])

    def _may_open(self, state: TableState) -> bool:
        """Rule 10: the request is saved, and the stream is past a place read after the request and after this start."""
        return (
            state.record.phase is Phase.PENDING
            and state.saved
            and state.floor is not None
            and self._source.passed(state.floor)
        )

    def _open_all(self, states: list[TableState]) -> Iterator[AnyBlock]:
        """Open what may open. One fence serves all: the stream stands still meanwhile (rule 3)."""
        fence: Mark | None = None
        for state in states:
            failpoints.hit("capture.before_open")
            schema = self._source.schema(state.found) if state.found else None
            if schema is None:
                continue
            if schema != state.version:
                # Altered since the floor was taken: the stream may still bring the version before.
                state.version, state.floor = schema, self._source.now()
                continue
            fence = fence or self._source.fence()
            yield from self._open(state, schema, fence)

    def _open(self, state: TableState, schema: TableSchema, fence: Mark) -> Iterator[AnyBlock]:
        yield self._sent(state, self._numbering.block(schema, [None], Op.TRUNCATE, Origin.OPENING))
        state.change(phase=Phase.SNAPSHOTTING, reason=None, fix=None, started_ms=_now_ms())
        state.load = Load.begin(state.record, fence, self._spool)
        failpoints.hit("capture.opened")
        log.info("snapshot.opened", table=state.record.table, generation=state.record.generation)

    # --- chunks ----------------------------------------------------------------------------------------------------

    def _ask(self, loading: list[TableState]) -> None:
        room = self._room(loading)
        if room > 0:
            note_settled([state.load for state in loading if state.load is not None], self._source.settled)
        for state in loading:
            if room <= 0:
                break
            if state.load is not None and state.load.settled and state.found is not None:
                room -= self._ask_for(state, state.load, room)

    def _ask_for(self, state: TableState, load: Load, room: int) -> int:
        """Ask for so many chunks of a table at most; return for how many."""
        assert state.found is not None
        self._cut(state, load)
        count = 0
        while count < room and (asked := load.next()) is not None:
            ticket = self._pool.ask(
                ChunkRequest(self._source.connection(), state.found, asked.plan, asked.index, asked.keys, self._spool)
            )
            load.asked(ticket, asked)
            self._tickets[ticket] = (state.record.table, load)
            count += 1
        return count

    def _room(self, loading: list[TableState]) -> int:
        """Return how many chunks may be asked for: those that wait for the stream lie on disk and count as out."""
        return self._pool.free() - sum(len(s.load.landed) for s in loading if s.load is not None)

    def _cut(self, state: TableState, load: Load) -> None:
        """Plan the chunks: by the saved plan when there is one (a worker tells when it died)."""
        if load.plan is not None or state.found is None:
            return
        saved = state.record.plan
        if saved is not None:
            load.use(saved["plan"], saved["chunks"], same=True)
            return
        planned = self._source.plan(state.found)
        if planned is None:
            return
        plan, chunks, rows = planned
        load.use(plan, chunks, same=False)
        state.change(plan={"plan": plan, "chunks": chunks}, done=(), rows_done=0, rows_total=rows)

    def _collect(self) -> None:
        ahead = False
        for ticket, outcome in self._pool.finished():
            name, load = self._tickets.pop(ticket, (None, None))
            state = self.tables.get(name) if name is not None else None
            if load is None or state is None or state.load is not load:
                _discard(outcome)
            elif isinstance(outcome, SourceError):
                load.drop(ticket)
                self._failed(state, outcome)
            elif outcome.stale or not load.holds(ticket):
                self._replan(state, load, ticket, outcome)
            else:
                failpoints.hit("capture.chunk_read")
                load.land(ticket, outcome)
                ahead = ahead or not self._source.passed(outcome.upto)
        if ahead:
            self._source.now()  # an idle stream must pass the chunks' places too

    def _failed(self, state: TableState, error: SourceError) -> None:
        if isinstance(error, SourceUnavailable):
            raise error
        state.halt(Phase.BLOCKED, error.what, error.fix)
        log.error("snapshot.blocked", table=state.record.table, reason=error.what)

    def _replan(self, state: TableState, load: Load, ticket: int, chunk: ChunkRead) -> None:
        """Rule 2: the table was rewritten; its chunks are cut anew."""
        holds = load.holds(ticket)
        load.drop(ticket)
        _discard(chunk)
        if holds:
            load.replan()
            state.change(plan=None, done=(), rows_done=0)
            log.info("snapshot.planned_again", table=state.record.table)

    def _land(self, state: TableState, load: Load) -> Iterator[AnyBlock]:
        ready = [t for t, chunk in load.landed.items() if self._source.passed(chunk.upto)]
        for ticket in ready:
            yield from self._publish(state, load, ticket)

    def _publish(self, state: TableState, load: Load, ticket: int) -> Iterator[AnyBlock]:
        chunk = load.landed[ticket]
        if not chunk.visibility.after(load.fence):  # rule 3
            self._again(load, ticket, chunk, "a transaction older than the snapshot was still running")
        elif state.record.keyless:
            yield from self._keyless(state, load, ticket)
        else:
            unseen = load.track.unseen(chunk.visibility)
            if any(change.table != chunk.schema for change in unseen):  # rule 5
                self._again(load, ticket, chunk, "the table's columns changed after the chunk was read")
            else:
                yield from self._keyed(state, load, ticket, Overlay(unseen))

    def _again(self, load: Load, ticket: int, chunk: ChunkRead, reason: str) -> None:
        load.drop(ticket)
        _discard(chunk)
        log.info("chunk.read_again", reason=reason)

    def _keyed(self, state: TableState, load: Load, ticket: int, overlay: Overlay) -> Iterator[AnyBlock]:
        """Publish a chunk under the position of the last transaction read, unseen events laid over it (rule 6)."""
        chunk, asked, count = load.landed[ticket], load.out[ticket], 0
        schema = chunk.schema
        for images in self._source.images(chunk):
            untouched, settled = settle(schema, images, overlay, load.todo.keys)
            count += len(untouched) + len(settled)
            if len(untouched):
                yield self._sent(state, self._numbering.columns(schema, untouched))
            if settled:
                yield self._sent(state, self._numbering.block(schema, settled, Op.READ, Origin.CHUNK))
        load.todo.keys.difference_update(key for key in asked.keys if key not in overlay.touched)
        if not asked.keys:
            load.done.add(asked.index)
        self._published(state, load, ticket, chunk, count)

    def _keyless(self, state: TableState, load: Load, ticket: int) -> Iterator[AnyBlock]:
        """Publish a truncate, the whole table, then what was set aside and not seen, all in this run (rule 9).

        The table may be large and its events are set aside anyway, so one block goes at a time and the stream is read
        between two of them.
        """
        name, chunk = state.record.table, load.landed[ticket]
        parts = self._parts.setdefault(name, self._whole(chunk))
        block = next(parts, None)
        if block is not None:
            yield self._sent(state, block)
            return
        del self._parts[name]
        for aside in load.aside.blocks():
            unseen = self._numbering.unseen(aside, chunk.visibility)
            if len(unseen):
                yield self._sent(state, unseen)
        load.aside.clear()
        load.done.add(0)
        self._published(state, load, ticket, chunk, chunk.rows)

    def _whole(self, chunk: ChunkRead) -> Iterator[AnyBlock]:
        yield self._numbering.block(chunk.schema, [None], Op.TRUNCATE, Origin.OPENING)
        for images in self._source.images(chunk):
            yield self._numbering.columns(chunk.schema, images)

    def _published(self, state: TableState, load: Load, ticket: int, chunk: ChunkRead, count: int) -> None:
        load.drop(ticket)
        _discard(chunk)
        state.change(done=ranges(load.done), rows_done=state.record.rows_done + count)
        failpoints.hit("capture.chunk_published")

    def _finish(self, state: TableState) -> None:
        """Rule 11: a table with nothing left to read is loaded at the newest key in its topic."""
        if state.load is None or not state.load.complete or state.newest is None:
            return
        failpoints.hit("capture.before_loaded")
        state.load = None
        loaded = state.newest.pack().hex()
        state.change(phase=Phase.STREAMING, loaded=loaded, newest=None, todo=(), loaded_ms=_now_ms())
        log.info("table.loaded", table=state.record.table, rows=state.record.rows_done)

    def _sent(self, state: TableState, block: AnyBlock) -> AnyBlock:
        """Note the newest key of a table that is not yet loaded; what is published again does not move it back."""
        if state.record.phase is not Phase.STREAMING:
            position = block.transactions[block.tx[-1]].position
            ordinal = int(block.ordinals[-1]) + (1 if block.key_change[-1] else 0)
            key = OrderKey(block.incarnation, position, block.run, ordinal)
            state.newest = key if state.newest is None else max(state.newest, key)
        return block

    def topic(self, block: AnyBlock) -> str:
        """Return the topic of a block's table."""
        return self._by_name[block.table.namespace, block.table.name].record.topic

    # --- saving ----------------------------------------------------------------------------------------------------

    def unsaved(self) -> list[TableState]:
        """Return the tables whose record must be saved, with what the loading adds to it."""
        for state in self.tables.values():
            self._note(state)
        return [s for s in self.tables.values() if not s.saved]

    def _note(self, state: TableState) -> None:
        if state.load is None:
            return
        todo = tuple(sorted(state.load.todo.keys))
        newest = state.newest.pack().hex() if state.newest else state.record.newest
        if (todo, newest) != (state.record.todo, state.record.newest):
            state.change(todo=todo, newest=newest)


def _discard(outcome: Outcome) -> None:
    if isinstance(outcome, ChunkRead) and outcome.path is not None:
        outcome.path.unlink(missing_ok=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
