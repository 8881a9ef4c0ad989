"""What the loop tells Prometheus after a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runtime import metrics
from schemas.columnar.block import operations

if TYPE_CHECKING:
    from apply.partition import Batch
    from schemas.table import TableSchema

#: What a table's row in ``ferryman.table_state`` may say.
_STATES: Final = ("loading", "streaming", "blocked", "needs_resync", "diverged")


def state(table: str, now: str) -> None:
    """Show the state that a table is in."""
    metrics.table_state(metrics.APPLY_TABLE_STATE, table, now, _STATES)


def decoded_by_reference(table: TableSchema, events: int) -> None:
    """Count events that were decoded one by one."""
    _by_reference(table, "decode", events)


def planned_by_reference(table: TableSchema, events: int) -> None:
    """Count events that were decoded by column and then looked at one by one, to see what becomes of their rows."""
    _by_reference(table, "plan", events)


def _by_reference(table: TableSchema, step: str, events: int) -> None:
    if events:
        metrics.series(metrics.APPLY_REFERENCE_ROWS, metrics.spelled(table.namespace, table.name), step).inc(events)


def committed(table: str, batch: Batch, behind: int, seconds: float) -> None:
    """Count a batch of a table; ``behind`` are the events of its topic that are not applied."""
    metrics.APPLY_COMMITS.inc()
    metrics.APPLY_BATCH_SECONDS.observe(seconds)
    metrics.series(metrics.APPLY_LAG_EVENTS, table).set(max(0, behind))
    if batch.committed_us is None:
        return
    metrics.APPLY_BATCH_EVENTS.observe(len(batch))
    for received in batch.received:
        for op, rows in operations(received.ops).items():
            metrics.series(metrics.APPLY_ROWS, table, op.value).inc(rows)
    metrics.apply_reached(table, batch.committed_us)
