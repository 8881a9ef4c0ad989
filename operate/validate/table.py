"""Compares one table: all of it by sums, then what differs by ids, then what still differs beyond doubt."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from operate.validate.compare import Finding, Id, Sum, differing, suspects
from operate.validate.confirm import Doubts
from operate.validate.queries import EVERYTHING, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from operate.validate.crew import Crew
    from operate.validate.shape import Plan
    from operate.validate.side import Side

#: A bucket should hold about this many rows: what is listed on both sides when one of them differs.
_BUCKET_ROWS: Final = 256
#: Buckets of a table that is hashed as a whole: no fewer than 64, no more than fit in the server's memory at ease.
_FEWEST_BITS, _MOST_BITS = 6, 16
#: For a table whose size is not known.
_USUAL_BITS: Final = 12

#: Ids confirmed together: each batch waits for the pipeline once or more, and is held in memory.
_BATCH: Final = 10_000
#: Without an index on the ids every reading of a batch scans the table.
_SCANNED_BATCH: Final = 100_000
#: Rounds until an id counts as changing all the time.
_ROUNDS: Final = 30
#: Ids that are watched at the source while waiting: few enough to be read many times a second.
_WATCHED: Final = 200


class Way(Protocol):
    """The way from source to target: see :class:`operate.validate.lag.Lag`."""

    def catch_up(self) -> bool:
        """Wait until everything committed at the source so far is in the target; whether it arrived."""


@dataclass(slots=True)
class Tally:
    """What the comparison of one table found.

    ``rows`` are counted at the source. ``unsettled`` ids changed all the time, so that nothing is known of them.
    """

    rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    unsettled: int = 0

    @property
    def target_rows(self) -> int:
        """Rows of the target at the state of the source that was compared."""
        return self.rows - self.missing + self.extra

    @property
    def equal(self) -> bool:
        """Whether every row is the same on both sides."""
        return not (self.missing or self.extra or self.different or self.unsettled)

    def add(self, finding: Finding) -> None:
        """Count an id that is not the same."""
        self.missing += finding.missing
        self.extra += finding.extra
        self.different += finding.different


@dataclass(frozen=True, slots=True)
class _Suspect:
    """Rows whose sums differ; ``buckets`` None: not yet known which buckets."""

    bounds: Bounds
    mask: int
    buckets: list[int] | None = None


@dataclass(slots=True)
class Comparison:
    """The comparison of one table. ``advance`` is told of rows done; ``found`` of findings, a batch at a time."""

    plan: Plan
    crew: Crew
    way: Way
    advance: Callable[[int], None] = lambda _: None
    found: Callable[[list[Finding]], None] = lambda _: None
    tally: Tally = field(default_factory=Tally)

    def run(self) -> Tally:
        """Compare; raises psycopg.Error, Unreachable."""
        doubtful = self._scan_ranges() if self.plan.ranged else self._scan_whole()
        if doubtful:
            self.way.catch_up()
            ids = (one for suspect in doubtful for one in self._ids(suspect))
            while batch := list(islice(ids, _BATCH if self.plan.key else _SCANNED_BATCH)):
                self._settle(batch)
        return self.tally

    # --- sums ------------------------------------------------------------------------------------------------------

    def _scan_ranges(self) -> list[_Suspect]:
        mask = mask_for(self.plan.range_rows)
        doubtful = []
        for bounds, source, target in self._totals():
            if source == target:
                self.tally.rows += source.rows
            else:
                doubtful.append(_Suspect(bounds, mask))
            self.advance(source.rows)
        return doubtful

    def _totals(self) -> Iterator[tuple[Bounds, Sum, Sum]]:
        """Yield both sums of each range, as many ranges at a time as the crew has pairs."""
        sides = self.crew.sides(self.plan)
        ahead: deque[tuple[Bounds, Callable[[], tuple[Sum, Sum]]]] = deque()
        for bounds in ranges(sides.source, self.plan.range_rows):
            if len(ahead) == self.crew.pairs:
                at, result = ahead.popleft()
                yield at, *result()
            ahead.append((bounds, self.crew.start(self.plan, lambda side, b=bounds: side.total(b))))  # type: ignore[misc]
        for at, result in ahead:
            yield at, *result()

    def _scan_whole(self) -> list[_Suspect]:
        mask = mask_for(self.plan.rows)
        source, target = self.crew.start(self.plan, lambda side: side.buckets(EVERYTHING, mask))()
        self.tally.rows = sum(s.rows for s in source.values())
        self.advance(self.tally.rows)
        buckets = differing(source, target)
        return [_Suspect(EVERYTHING, mask, buckets)] if buckets else []

    # --- ids -------------------------------------------------------------------------------------------------------

    def _ids(self, suspect: _Suspect) -> Iterator[Id]:
        bounds, mask, buckets = suspect.bounds, suspect.mask, suspect.buckets
        if buckets is None:
            source, target = self.crew.start(self.plan, lambda side: side.buckets(bounds, mask))()
            self.tally.rows += sum(s.rows for s in source.values())
            buckets = differing(source, target)
        if not buckets:
            return
        sides = self.crew.sides(self.plan)
        wanted = None if len(buckets) > mask // 2 else buckets
        yield from suspects(sides.source.entries(bounds, mask, wanted), sides.target.entries(bounds, mask, wanted))

    def _settle(self, ids: list[Id]) -> None:
        """Find out, in rounds, which of these ids are not the same beyond doubt."""
        doubts = Doubts.about(ids, unique=bool(self.plan.key), versioned=self.plan.versioned)
        for number in range(_ROUNDS):
            self._round(doubts, watched=number > 0 and bool(self.plan.key) and len(doubts.pending) <= _WATCHED)
            if not doubts.pending:
                break
        self.tally.unsettled += len(doubts.pending)
        for finding in doubts.findings:
            self.tally.add(finding)
        self.found(doubts.findings)

    def _round(self, doubts: Doubts, *, watched: bool) -> None:
        sides, ids = self.crew.sides(self.plan), list(doubts.pending)
        doubts.begin(sides.source.lookup(ids))
        watching = self.crew.watching(self.plan, lambda side: doubts.sample(side.lookup(ids)))
        with watching if watched else nullcontext():
            waited = self.way.catch_up()
            target = sides.target.lookup(ids)
        doubts.end(target, sides.source.lookup(ids), waited=waited)


def mask_for(rows: int) -> int:
    """Return the bits of an id's hash by which so many rows (-1: unknown) are put into buckets."""
    bits = _USUAL_BITS if rows < 0 else (rows // _BUCKET_ROWS).bit_length()
    return (1 << max(_FEWEST_BITS, min(_MOST_BITS, bits))) - 1


def ranges(source: Side, rows: int) -> Iterator[Bounds]:
    """Yield key ranges that cover every possible key, cut every ``rows`` rows of the source as it is now."""
    low = None
    while (high := source.border(low, rows)) is not None:
        yield Bounds(low, high)
        low = high
    yield Bounds(low)
