"""Tables that come and go: the catalog's view folded into what capture knows. Pure but for its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from capture.tables import TableState
from schemas.naming import TakenTopics, table_topic
from schemas.positions import Phase, TableRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from capture.engine import Engine
    from capture.source import FoundTable

log = structlog.get_logger()


class Discovery:
    """Folds the found tables into the engine's; the caller alters the publication and calls ``settle`` after it."""

    def __init__(self, engine: Engine, prefix: str, run: int) -> None:
        self._engine, self._prefix, self._run = engine, prefix, run

    def fold(self, found: Sequence[FoundTable]) -> None:
        """Take in what the catalog shows now: new, changed, unfit, mended and vanished tables."""
        taken = TakenTopics(state.record.topic for state in self._engine.tables.values())
        for table in found:
            state = self._engine.tables.get(table.name)
            if state is None:
                self._add(table, taken)
            else:
                self._update(state, table)
        present = {table.name for table in found}
        for name in [n for n in self._engine.tables if n not in present]:
            self._remove(name)

    def _add(self, table: FoundTable, taken: TakenTopics) -> None:
        topic = table_topic(self._prefix, table.namespace, table.table, taken)
        taken.add(topic)
        record = TableRecord(
            run=self._run, table=table.name, topic=topic, keyless=table.keyless, identity=table.identity
        )
        self._engine.tables[table.name] = state = TableState(record, table)
        log.info("table.found", table=table.name, topic=topic)
        if table.reason is not None:
            state.halt(Phase.BLOCKED, table.reason, table.fix or "")

    def _update(self, state: TableState, table: FoundTable) -> None:
        state.found = table
        record = state.record
        if table.reason is not None:
            if (record.phase, record.reason) != (Phase.BLOCKED, table.reason):
                self._engine.halt(record.table, Phase.BLOCKED, table.reason, table.fix or "")
                log.error("table.blocked", table=record.table, reason=table.reason)
        elif record.phase is Phase.REMOVED or record.phase is Phase.BLOCKED:
            self._again(state, table, "it can be captured again")
        elif record.phase is not Phase.NEEDS_RESYNC and table.identity != record.identity:
            self._again(state, table, "it was dropped and created again")
        elif record.phase is not Phase.NEEDS_RESYNC and table.keyless != record.keyless:
            self._again(state, table, "its key was added or dropped")

    def _again(self, state: TableState, table: FoundTable, reason: str) -> None:
        self._engine.resync(state.record.table, reason)
        state.change(identity=table.identity, keyless=table.keyless)
        log.info("snapshot.requested", table=table.name, reason=reason)

    def _remove(self, name: str) -> None:
        if self._engine.tables[name].record.phase is not Phase.REMOVED:
            self._engine.halt(name, Phase.REMOVED, "it is no longer there or no longer selected", "")
            self._engine.tables[name].found = None
            log.warning("table.removed", table=name)
