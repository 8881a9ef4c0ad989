"""What capture shows of itself in its metrics, taken at every save."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runtime import metrics
from schemas.positions import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.positions import TableRecord

_PHASES = [phase.value for phase in Phase]


def saved(seconds: float) -> None:
    """Note that the position was saved, and how long it took from the first wait for the brokers."""
    metrics.CAPTURE_SAVED_TIMESTAMP.set(time.time())
    metrics.CAPTURE_SAVE_SECONDS.observe(seconds)


def tables(records: Iterable[TableRecord]) -> None:
    """Show phase and snapshot progress of tables whose record changed."""
    for record in records:
        metrics.table_state(metrics.CAPTURE_TABLE_STATE, record.table, record.phase.value, _PHASES)
        metrics.CAPTURE_SNAPSHOT_DONE.labels(record.table).set(record.rows_done)
        if record.rows_total is not None:
            metrics.CAPTURE_SNAPSHOT_EXPECTED.labels(record.table).set(record.rows_total)
