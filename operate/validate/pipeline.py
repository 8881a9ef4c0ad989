"""``ferryman validate`` without its words: every table of a pipeline compared, one after the other."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import psycopg

from apply.target import connector
from operate import sources
from operate.following import Follower
from operate.validate.crew import Crew
from operate.validate.lag import Lag
from operate.validate.origin import Refusal, target_end
from operate.validate.repair import CannotRepair, Checkpoints, Repair
from operate.validate.shape import Incompatible
from operate.validate.side import PostgresEnd
from operate.validate.table import Comparison, Tally
from runtime import postgres
from runtime.errors import BadInput
from runtime.sqlstate import describe
from schemas.positions import Phase, TableRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from operate.validate.compare import Finding
    from operate.validate.origin import Origin
    from operate.validate.shape import Plan
    from runtime.config import Pipeline
    from schemas.positions import Positions

#: Ranges that are hashed at a time: enough to keep both servers busy, not enough to be felt.
_PAIRS = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one table.

    ``state``: equal, different, unsettled (rows that changed all the time could not be judged), incompatible (the
    tables' columns do not allow it), error (a server refused), or why it was not compared: pending, snapshotting,
    blocked, needs_resync. Without a ``tally`` nothing was compared. ``repaired`` ids were made equal before that.
    """

    table: str
    state: str
    tally: Tally | None = None
    reason: str | None = None
    fix: str | None = None
    repaired: int | None = None

    @property
    def equal(self) -> bool:
        """Whether source and target hold the same rows."""
        return self.state == "equal"


class Progress(Protocol):
    """Is told how a comparison goes on."""

    def begin(self, table: str, rows: int) -> None:
        """Comparing a table of about ``rows`` rows (-1: unknown) begins."""

    def advance(self, rows: int) -> None:
        """So many more rows are compared."""

    def end(self, report: Report) -> None:
        """The table is done."""


def validate(
    pipeline: Pipeline, wanted: Callable[[str, str], bool], progress: Progress, *, repair: bool = False
) -> list[Report]:
    """Compare the tables that ``wanted(namespace, name)`` picks; return a report of each, in order of their names.

    With ``repair`` rows that differ are made equal, and the table is compared again. Raises BadInput when no table is
    meant, Unreachable when a system cannot be reached.
    """
    origin = sources.origin(pipeline)
    with Follower(pipeline) as follower:
        records = pick(follower.positions(), wanted)
        assert pipeline.target is not None
        conninfo = pipeline.target.conninfo
        with (
            Crew(origin.open, lambda: target_end(conninfo), _PAIRS) as crew,
            sources.session(pipeline) as session,
        ):
            one = _Validation(pipeline, crew, origin, progress)
            return [
                one.table(record, Lag(follower, session, record.table, pipeline.commands), repair=repair)
                for record in records
            ]


def pick(standing: Positions, wanted: Callable[[str, str], bool]) -> list[TableRecord]:
    """Return the wanted tables by name; raises BadInput when there is none."""
    if not standing.tables:
        raise BadInput("this pipeline has no tables yet", fix="start `ferryman capture` first")
    records = [r for name, r in sorted(standing.tables.items()) if wanted(*postgres.parse_name(name))]
    if not records:
        raise BadInput(
            "no table of this pipeline is meant", "--tables", f"its tables are: {', '.join(sorted(standing.tables))}"
        )
    return records


class _Validation:
    """The comparison of one table after the other, over the same connections."""

    def __init__(self, pipeline: Pipeline, crew: Crew, origin: Origin, progress: Progress) -> None:
        self._pipeline, self._crew, self._origin, self._progress = pipeline, crew, origin, progress

    def table(self, record: TableRecord, lag: Lag, *, repair: bool) -> Report:
        report = self._report(record, lag, repair=repair)
        self._progress.end(report)
        return report

    def _report(self, record: TableRecord, lag: Lag, *, repair: bool) -> Report:
        if record.phase is not Phase.STREAMING:
            return Report(record.table, record.phase.value, reason=record.reason, fix=record.fix)
        try:
            target = self._crew.target
            assert isinstance(target, PostgresEnd), "opened by target_end"
            how = self._origin.plan(self._crew.source, target, record)
            return self._repaired(record, how, lag) if repair else self._compared(record, how, lag)
        except Incompatible as finding:
            return Report(record.table, "incompatible", reason=str(finding))
        except psycopg.Error as error:
            self._crew.rest()
            if self._crew.broken:
                raise
            return Report(record.table, "error", reason=describe(error))
        except Refusal as refusal:
            self._crew.rest()
            return Report(record.table, "error", reason=str(refusal))

    def _compared(
        self, record: TableRecord, how: Plan, lag: Lag, found: Callable[[list[Finding]], None] = lambda _: None
    ) -> Report:
        self._progress.begin(record.table, how.rows)
        tally = Comparison(how, self._crew, lag, self._progress.advance, found).run()
        return Report(record.table, *verdict(tally, lag.stuck))

    def _repaired(self, record: TableRecord, how: Plan, lag: Lag) -> Report:
        """Repair batch after batch of what is found, then compare again: the figures are those of afterwards."""
        places = Checkpoints(self._pipeline.pipeline, record.topic, record.partitions)
        repaired = 0
        with closing(self._origin.open()) as source, connector(self._pipeline)() as target:
            lock_s = self._pipeline.commands.repair_lock_seconds
            one = Repair(how, source.side(how), target, lag, places, lock_s)

            def mend(findings: list[Finding]) -> None:
                nonlocal repaired
                repaired += one.run([finding.id for finding in findings])

            try:
                report = self._compared(record, how, lag, mend)
            except CannotRepair as trouble:
                report = replace(self._compared(record, how, lag), reason=trouble.what, fix=trouble.fix)
            else:
                report = self._compared(record, how, lag) if repaired else report
        return replace(report, repaired=repaired)


def verdict(tally: Tally, stuck: str | None) -> tuple[str, Tally, str | None]:
    """Return a table's state, its tally, and what else is to say; ``stuck``: why the pipeline did not move."""
    if tally.equal:
        return "equal", tally, None
    if tally.missing or tally.extra or tally.different:
        unsure = f"some of it may be changes on their way: {stuck}" if stuck is not None else None
        return "different", tally, unsure
    return "unsettled", tally, stuck or f"{tally.unsettled} rows changed all the time"


def equal(reports: Sequence[Report]) -> bool:
    """Whether everything was compared and is the same."""
    return all(report.equal for report in reports)
