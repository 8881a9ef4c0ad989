"""One run of capture: from a start record to the next. Everything it holds is thrown away when it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from capture import observe
from capture.discovery import Discovery
from capture.engine import Engine
from capture.publisher import RowTooLarge
from capture.snapshot.numbering import Standing
from capture.source import HistoryLost, SourceUnavailable
from capture.tables import TableState
from runtime import metrics
from runtime.failpoints import hit
from schemas.block import Transaction
from schemas.order import OrderKey
from schemas.positions import Phase, Positions, StreamRecord, TableRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from capture.snapshot.workers import Pool
    from capture.source import Batch, Resume, Source
    from runtime.config import CaptureConfig, Pipeline
    from schemas.columnar.block import AnyBlock
    from schemas.control import ControlRecord
    from schemas.table import TableSchema

log = structlog.get_logger()

#: Tables that go to the brokers with one request: to make a topic takes them some milliseconds.
_AT_ONCE: Final = 100


class Remembers(Protocol):
    """Where a run saves what it knows: :class:`capture.positions.PositionsWriter`, or a simulation."""

    run: int

    def standing(self) -> Positions:
        """Return what is saved."""

    def begin(self) -> Positions:
        """Begin a new run and return what it takes over."""

    def save(self, tables: Iterable[TableRecord], stream: StreamRecord) -> None:
        """Hand records over, the stream's last; one save at a time."""

    def is_saved(self) -> bool:
        """Whether all that was handed over is durable; raises SaveFailed."""

    def settle(self) -> None:
        """Return once it is; raises SaveFailed."""

    def close(self) -> None:
        """Let go of everything."""


class Publishes(Protocol):
    """Whoever carries blocks to topics: :class:`capture.publisher.Publisher`, or a simulation."""

    rows: int
    reference_rows: int

    def ensure_topics(self, topics: Iterable[str]) -> None:
        """See to it that tables' topics are there."""

    def announce(self, versions: Iterable[tuple[str, TableSchema]]) -> None:
        """Make table versions known, by topic, before their first block."""

    def publish(self, topic: str, block: AnyBlock) -> None:
        """Hand a block over, to be delivered in order; raises DeliveryFailed."""

    def delivered(self) -> bool:
        """Whether everything handed over is acknowledged; raises DeliveryFailed."""

    def flush(self) -> None:
        """Return once it is; raises DeliveryFailed."""

    def close(self) -> None:
        """Throw away what is not delivered."""


class Requests(Protocol):
    """Where requests come from: :class:`capture.control.ControlReader`, or a simulation."""

    offset: int

    def poll(self) -> list[ControlRecord]:
        """Return what came in since the last call."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with; all of it ends with the run. ``control`` opens the control topic at an offset."""

    source: Source
    publisher: Publishes
    positions: Remembers
    pool: Pool
    control: Callable[[int], Requests]


class Run:
    """What one run knows; :class:`capture.loop.Loop` drives it."""

    engine: Engine

    def __init__(self, pipeline: Pipeline, parts: Parts, spool: Path, address: str | None = None) -> None:
        self.source, self.publisher = parts.source, parts.publisher
        self.settings: CaptureConfig = pipeline.capture
        self._pipeline, self._parts, self._spool, self._address = pipeline, parts, spool, address
        self._positions = parts.positions
        self._control: Requests | None = None
        self._resume: Resume | None = None
        self._dirty = True
        self._saving: tuple[Resume, list[tuple[TableState, TableRecord]]] | None = None
        self._discovered_at = 0.0

    def begin(self) -> None:
        """Take the source's stream, then the positions topic, then look at the tables.

        In this order: whoever holds the stream is the only daemon, so its start record voids nobody's work.
        Raises SourceError, SourceUnavailable, KafkaUnavailable or SaveFailed.
        """
        self._identity = self.source.prepare()
        before = self._positions.standing()
        lost = self._start_stream(before.stream)
        standing = self._positions.begin()
        self.source.keep_alive()  # nobody reads the stream before the first turn, and the server's patience is finite
        if _resume(standing.stream) != _resume(before.stream):
            raise SourceUnavailable("another capture daemon saved its position while this one started")
        hit("capture.started")
        self._stand(standing, lost)

    def _start_stream(self, saved: StreamRecord | None) -> HistoryLost | None:
        """Open the stream where the last run ended; where that is impossible, from now on, and say why."""
        try:
            if saved is None:
                self.source.start(None, self._identity)
            else:
                self.source.start(saved.resume, saved.identity)
        except HistoryLost as lost:
            self.source.start(None, self._identity)
            return lost
        return None

    def _stand(self, standing: Positions, lost: HistoryLost | None) -> None:
        """Take up the saved tables and numbers; a broken history raises the incarnation (rule 16)."""
        saved = standing.stream
        self._incarnation = saved.incarnation if saved else 0
        at = Transaction(saved.position, saved.committed_us, "") if saved else Transaction(0, 0, "")
        if saved is None or lost is not None:
            # Wall-clock seconds, so that a lost positions topic cannot bring an old incarnation back.
            self._incarnation, at = max(self._incarnation + 1, int(time.time())), Transaction(0, 0, "")
        tables = {name: TableState(record, saved=True) for name, record in standing.tables.items()}
        for state in tables.values():
            if state.record.newest is not None:
                state.newest = OrderKey.unpack(bytes.fromhex(state.record.newest))
        begins = Standing(self._incarnation, self._positions.run, at)
        self.engine = Engine(self.source, self._parts.pool, begins, tables, self._spool)
        self._discovery = Discovery(self.engine, self._pipeline.pipeline, self._positions.run)
        if lost is not None:
            self._give_up(lost)
        self._control = self._parts.control(saved.control_offset if saved else 0)
        self.source.keep_alive()
        self.discover()
        self.engine.begin()

    def _give_up(self, lost: HistoryLost) -> None:
        log.error("history.lost", reason=lost.what)
        fix = "ferryman resync PIPELINE --all"
        for name in self.engine.tables:
            self.engine.halt(name, Phase.NEEDS_RESYNC, lost.what, f"{lost.fix}; then: {fix}" if lost.fix else fix)

    # --- in the loop -----------------------------------------------------------------------------------------------

    def read(self, max_wait_s: float) -> Batch:
        """Return the stream's next batch."""
        batch = self.source.read(self.settings.batch_rows, max_wait_s)
        if batch.between or self._resume is None:
            self._dirty |= batch.resume != self._resume
            self._resume = batch.resume
        if batch.at is not None:
            metrics.capture_read(batch.at.committed_us)
        elif batch.between:
            metrics.capture_caught_up()
        return batch

    def publish(self, blocks: Iterable[AnyBlock]) -> None:
        """Hand blocks to the publisher, each to its table's topic."""
        for block in blocks:
            hit("capture.before_produce")
            topic = self.engine.topic(block)
            try:
                self.publisher.publish(topic, block)
            except RowTooLarge as refused:
                self.engine.too_large(block, str(refused))
            self._dirty = True

    @property
    def dirty(self) -> bool:
        """Whether anything is worth a save."""
        return self._dirty or any(not state.saved for state in self.engine.tables.values())

    def save(self) -> None:
        """Hand over the position of all that was read, which must be acknowledged; :meth:`settle` must follow."""
        assert self._resume is not None, "a save follows a read"
        hit("capture.before_save")
        records = [(state, state.record) for state in self.engine.unsaved()]
        self._positions.save([record for _, record in records], self._stream("running"))
        self._saving = self._resume, records
        self._dirty = False

    def is_saved(self) -> bool:
        """Whether the position that was handed over is durable."""
        return self._positions.is_saved()

    def settle(self) -> Resume:
        """Wait until it is; return the resume point that the source may now be told."""
        assert self._saving is not None, "a save was begun"
        self._positions.settle()
        (resume, records), self._saving = self._saving, None
        for state, record in records:
            state.saved = state.saved or state.record is record  # it may have changed since
        observe.tables([record for _, record in records])
        return resume

    def housekeep(self) -> None:
        """Obey the control topic, and look at the catalog when it is time."""
        assert self._control is not None, "the run has begun"
        requests = self._control.poll()
        for request in requests:
            self._obey(request)
        source = self._pipeline.source
        interval = source.discover_seconds if source is not None else 10.0
        if requests or time.monotonic() - self._discovered_at >= interval:
            self.discover()
            self._dirty |= bool(requests)

    def discover(self) -> None:
        """Fold the catalog's tables into the engine's, let the log carry them, and settle where they may open."""
        found = self.source.tables()
        self._discovery.fold(found)
        # Before the records that name them are saved: apply subscribes as soon as it reads a record.
        for states in _in_groups(list(self.engine.tables.values())):
            self.publisher.ensure_topics([state.record.topic for state in states])
            self.source.keep_alive()
        if self.source.publish([table for table in found if table.reason is None]):
            log.info("publication.changed", tables=len(found))
        for states in _in_groups(self.engine.settle()):
            self.publisher.announce([(state.record.topic, state.version) for state in states if state.version])
            self.source.keep_alive()
        self._discovered_at = time.monotonic()
        metrics.CAPTURE_LAG_BYTES.set(self.source.lag_bytes() or 0)
        metrics.CAPTURE_RETAINED_BYTES.set(self.source.retained_bytes() or 0)

    def _obey(self, request: ControlRecord) -> None:
        log.info("control.obeyed", command=request.command, tables=list(request.tables), by=request.by)
        if request.command != "resync":
            return
        for name in request.tables:
            state = self.engine.tables.get(name)
            if state is not None and state.record.phase is not Phase.BLOCKED:
                self.engine.resync(name, "a resync was asked for")
                if state.found is not None:
                    state.change(identity=state.found.identity, keyless=state.found.keyless)

    def _stream(self, state: str) -> StreamRecord:
        assert self._resume is not None, "a save follows a read"
        assert self._control is not None, "the run has begun"
        return StreamRecord(
            run=self._positions.run, source=self._identity.get("name", ""), incarnation=self._incarnation,
            resume=self._resume, identity=self._identity, reached=self.source.reached(),
            position=self.engine.at.position, committed_us=self.engine.at.committed_us,
            control_offset=self._control.offset, saved_ms=time.time_ns() // 1_000_000,
            address=self._address, state=state, rows=self.publisher.rows,
            reference_rows=self.publisher.reference_rows,
        )  # fmt: skip

    # --- the end ---------------------------------------------------------------------------------------------------

    def stopped(self) -> None:
        """Say in the positions topic that this daemon ended in good order."""
        self._positions.save([], self._stream("stopped"))
        self._positions.settle()

    def close(self) -> None:
        """Let go of everything; what is not acknowledged is thrown away."""
        self._parts.pool.close()
        self.source.close()
        self.publisher.close()
        if self._control is not None:
            self._control.close()
        self._positions.close()


def _resume(stream: StreamRecord | None) -> dict[str, Any] | None:
    return stream.resume if stream is not None else None


def _in_groups(states: list[TableState]) -> Iterator[list[TableState]]:
    """Yield the tables in groups for which the brokers are asked at once."""
    for first in range(0, len(states), _AT_ONCE):
        yield states[first : first + _AT_ONCE]
