"""Is everything up to a place in the source in the target? The conditions, in the order in which they come true. Pure.

    request obeyed -> log published up to the mark -> every table loaded -> (ends of the topics taken) -> ends applied

Each condition answers with None, or with what is still missing, in words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from schemas.positions import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capture.operations import LogMark
    from operate.applied import Applied
    from schemas.positions import Positions, TableRecord

#: Topic partition.
Partition = tuple[str, int]

_HALTED_BY_CAPTURE: Final = (Phase.BLOCKED, Phase.NEEDS_RESYNC)
_HALTED_BY_APPLY: Final = ("blocked", "needs_resync", "diverged")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is waited for.

    ``control_offset``: the request that capture must have obeyed; ``mark``: the place in the log up to which
    it must have published; ``tables``: the source's names that count. None: no such condition, all tables.
    """

    control_offset: int | None = None
    mark: LogMark | None = None
    tables: frozenset[str] | None = None


class World(Protocol):
    """What is seen of a pipeline while waiting; every answer is as of now."""

    @property
    def patience_s(self) -> float:
        """Return how many seconds a halt stands, while apply does not move, until it counts.

        A halt that apply reports of a table that was snapshotted again may be older than that snapshot, as long as
        apply has not read all of it.
        """

    def positions(self) -> Positions:
        """Return what stands in the positions topic."""

    def applied(self) -> Applied:
        """Return apply's control rows, with checkpoints of topics that are gone left out."""

    def ends(self, standing: Positions, tables: frozenset[str] | None) -> dict[Partition, int]:
        """Return the end offset of every partition of these tables' topics."""

    def clock(self) -> float:
        """Return seconds that only rise."""


class Verdict(NamedTuple):
    """Where the wait stands: ``done``, or ``failed`` for a reason that waiting cannot mend, or pending for one."""

    done: bool
    failed: bool
    reason: str | None
    fix: str | None = None


@dataclass(slots=True)
class _Halts:
    """Tables that apply has halted, and since when nothing moved there."""

    patience_s: float
    since: dict[str, tuple[object, float]] = field(default_factory=dict)

    def find(self, positions: Positions, applied: Applied, ask: Ask, now: float) -> tuple[str, str | None] | None:
        for name, state in applied.tables.items():
            record = positions.tables.get(name)
            if record is None or not _counts(name, ask) or state.state not in _HALTED_BY_APPLY:
                continue
            if not _is_news(record, applied) and not self._stands(name, (state, _places(applied, record.topic)), now):
                continue
            return f"{name} is {_words(state.state)}: {state.reason or 'no reason given'}", state.fix
        return None

    def _stands(self, name: str, seen: object, now: float) -> bool:
        before, since = self.since.get(name, (None, now))
        if before != seen:
            since = now
        self.since[name] = (seen, since)
        return now - since >= self.patience_s


@dataclass(slots=True)
class Waiter:
    """Looks until a verdict is final; the ends of the topics are taken once, when they cover the ask."""

    world: World
    ask: Ask
    _ends: dict[Partition, int] | None = None
    _halts: _Halts = field(init=False)

    def __post_init__(self) -> None:
        self._halts = _Halts(self.world.patience_s)

    def look(self) -> Verdict:
        """Return where the wait stands now."""
        positions = self.world.positions()
        missing = unheard(positions, self.ask)
        if missing is not None:
            return Verdict(done=False, failed=False, reason=missing)
        applied = self.world.applied()
        halt = capture_halt(positions, self.ask) or self._halts.find(positions, applied, self.ask, self.world.clock())
        if halt is not None:
            return Verdict(done=False, failed=True, reason=halt[0], fix=halt[1])
        missing = uncaptured(positions, self.ask) or unloaded(positions, self.ask)
        if missing is None and self._ends is None:
            self._ends = self.world.ends(positions, self.ask.tables)
            applied = self.world.applied()
        missing = missing or unapplied(self._ends or {}, applied)
        return Verdict(done=missing is None, failed=False, reason=missing)


# --- the conditions --------------------------------------------------------------------------------------------------


def unheard(positions: Positions, ask: Ask) -> str | None:
    """Capture has obeyed the request, so it knows every table that was there when it was made."""
    if positions.stream is None:
        return "capture has not started yet: run `ferryman capture`"
    if ask.control_offset is not None and positions.stream.control_offset <= ask.control_offset:
        return f"capture has not answered yet{_stopped(positions)}"
    return None


def uncaptured(positions: Positions, ask: Ask) -> str | None:
    """Everything before the mark is durable in the topics."""
    if ask.mark is None or positions.stream is None:
        return None
    missing = ask.mark.missing(positions.stream)
    return f"capture has {missing} to read{_stopped(positions)}" if missing is not None else None


def unloaded(positions: Positions, ask: Ask) -> str | None:
    """Every table is loaded: all its rows are in its topic."""
    names = [t.table for t in positions.tables.values() if _counts(t.table, ask) and t.phase is not Phase.STREAMING]
    return f"still being copied: {_some(names)}{_stopped(positions)}" if names else None


def unapplied(ends: Mapping[Partition, int], applied: Applied) -> str | None:
    """Every partition is applied up to the end that was taken."""
    left = {p: end - _next(applied, p) for p, end in ends.items() if _next(applied, p) < end}
    if not left:
        return None
    topics = sorted({topic for topic, _ in left})
    begun = any(p in applied.checkpoints for p in left)
    hint = "" if begun else "; apply has not begun with them: run `ferryman apply`"
    return f"apply has {sum(left.values()):,} events to apply from {_some(topics)}{hint}"


def capture_halt(positions: Positions, ask: Ask) -> tuple[str, str | None] | None:
    """Return reason and fix of a table that capture has halted."""
    for table in positions.tables.values():
        if _counts(table.table, ask) and table.phase in _HALTED_BY_CAPTURE:
            return f"{table.table} is {_words(table.phase.value)}: {table.reason or 'no reason given'}", table.fix
    return None


def _is_news(record: TableRecord, applied: Applied) -> bool:
    """Whether what apply says is about the snapshot that capture speaks of: the first one, or one that it has read."""
    if record.generation == 1:
        return True
    marks = [c.order_key for c in applied.checkpoints.values() if c.topic == record.topic]
    loaded = bytes.fromhex(record.loaded) if record.loaded is not None else None
    return loaded is not None and any(mark is not None and mark >= loaded for mark in marks)


def _places(applied: Applied, topic: str) -> list[tuple[int, int]]:
    return sorted((p, c.next_offset) for (t, p), c in applied.checkpoints.items() if t == topic)


def _counts(table: str, ask: Ask) -> bool:
    return ask.tables is None or table in ask.tables


def _next(applied: Applied, partition: Partition) -> int:
    checkpoint = applied.checkpoints.get(partition)
    return checkpoint.next_offset if checkpoint else 0


def _stopped(positions: Positions) -> str:
    stream = positions.stream
    return " (it is stopped: run `ferryman capture`)" if stream is not None and stream.state == "stopped" else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more


def _words(state: str) -> str:
    return state.replace("_", " ")
