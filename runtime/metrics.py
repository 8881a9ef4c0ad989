"""Every metric of both daemons. This file is their documentation; dashboard and alerts are tested against it.

Labels hold names (tables, operations, error classes), never values of rows.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from runtime.names import spell
from schemas.columnar.block import operations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.columnar.block import AnyBlock

# A second series for every counter, saying when the process made it, helps nobody.
disable_created_metrics()  # type: ignore[no-untyped-call] # untyped in the library

M = TypeVar("M", Counter, Gauge, Histogram)

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ROWS: Final = (1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000)

# --- capture: source -> topics ----------------------------------------------------------------------------------------

CAPTURE_LAG_SECONDS = Gauge(
    "ferryman_capture_lag_seconds", "Age of the newest source transaction that was read; 0 when all is read"
)
CAPTURE_LAG_BYTES = Gauge("ferryman_capture_lag_bytes", "Source log that is not yet read")
CAPTURE_RETAINED_BYTES = Gauge("ferryman_capture_retained_bytes", "Source log that is held back for this pipeline")
CAPTURE_ROWS = Counter("ferryman_capture_rows", "Events published", ["table", "op"])
CAPTURE_REFERENCE_ROWS = Counter(
    "ferryman_capture_reference_rows",
    "Events that were written row by row instead of by column: small blocks, and values that only that way can write",
    ["table"],
)
CAPTURE_ALTERED = Counter(
    "ferryman_capture_values_altered",
    "Values that were altered because PostgreSQL has no place for them, by the setting that says so",
    ["setting"],
)
CAPTURE_BATCH_ROWS = Histogram("ferryman_capture_batch_rows", "Rows of a published block", buckets=_ROWS)
CAPTURE_SAVE_SECONDS = Histogram(
    "ferryman_capture_save_seconds", "Time until a batch is acknowledged and its position saved", buckets=_SECONDS
)
CAPTURE_SAVED_TIMESTAMP = Gauge(
    "ferryman_capture_saved_timestamp_seconds", "When the position was last saved, in Unix time"
)
CAPTURE_SNAPSHOT_DONE = Gauge("ferryman_capture_snapshot_rows_done", "Rows that the snapshot has published", ["table"])
CAPTURE_SNAPSHOT_EXPECTED = Gauge(
    "ferryman_capture_snapshot_rows_expected", "Rows that the table is estimated to have", ["table"]
)
CAPTURE_TABLE_STATE = Gauge("ferryman_capture_table_state", "1 for the state that a table is in", ["table", "state"])
CAPTURE_REWINDS = Counter(
    "ferryman_capture_rewinds", "Runs that ended in an error and began again at the saved position", ["cause"]
)

# --- apply: topics -> target ------------------------------------------------------------------------------------------

APPLY_LAG_SECONDS = Gauge(
    "ferryman_apply_lag_seconds", "Age of the newest event applied, since its commit at the source", ["table"]
)
APPLY_LAG_EVENTS = Gauge("ferryman_apply_lag_events", "Events in the topic that are not applied", ["table"])
APPLY_ROWS = Counter("ferryman_apply_rows", "Events applied", ["table", "op"])
APPLY_REFERENCE_ROWS = Counter(
    "ferryman_apply_reference_rows",
    "Events that were decoded or planned one by one instead of by column: small batches, changed keys, unsent columns",
    ["table", "step"],
)
APPLY_REJECTED = Counter("ferryman_apply_rows_rejected", "Events that the target did not take", ["table"])
APPLY_BATCH_EVENTS = Histogram("ferryman_apply_batch_events", "Events of a target transaction", buckets=_ROWS)
APPLY_BATCH_SECONDS = Histogram("ferryman_apply_batch_seconds", "Time of a target transaction", buckets=_SECONDS)
APPLY_COMMITS = Counter("ferryman_apply_commits", "Target transactions committed")
APPLY_RETRIES = Counter("ferryman_apply_retries", "Target transactions tried again", ["reaction"])
APPLY_TAKEOVERS = Counter("ferryman_apply_takeovers", "Partitions taken over")
APPLY_PARTITIONS = Gauge("ferryman_apply_partitions", "Partitions that this replica applies")
APPLY_TABLE_STATE = Gauge("ferryman_apply_table_state", "1 for the state that a table is in", ["table", "state"])
APPLY_ERRORS = Counter("ferryman_apply_errors", "Errors by class", ["error"])


@cache
def series(metric: M, *labels: str) -> M:
    """Return a metric's series: the library takes longer to find it than to count. They are as many as it keeps."""
    return metric.labels(*labels)


#: Names spelled for labels, again and again.
spelled: Final = cache(spell)


def capture_read(committed_us: int) -> None:
    """Note the commit time of the newest source transaction that was read, in microseconds since 1970."""
    CAPTURE_LAG_SECONDS.set(_age(committed_us))


def capture_caught_up() -> None:
    """Note that nothing is left to read."""
    CAPTURE_LAG_SECONDS.set(0)


def capture_published(block: AnyBlock, by_reference: int) -> None:
    """Count a block's rows by table and operation, and those that did not go by column."""
    table = spelled(block.table.namespace, block.table.name)
    for op, rows in operations(block.ops).items():
        series(CAPTURE_ROWS, table, op.value).inc(rows)
    series(CAPTURE_REFERENCE_ROWS, table).inc(by_reference)
    CAPTURE_BATCH_ROWS.observe(len(block))


def apply_reached(table: str, committed_us: int) -> None:
    """Note the source commit time of a table's newest applied event, in microseconds since 1970."""
    series(APPLY_LAG_SECONDS, table).set(_age(committed_us))


def table_state(gauge: Gauge, table: str, state: str, states: Iterable[str]) -> None:
    """Set a table's one state to 1 and its other ``states`` to 0."""
    for one in states:
        series(gauge, table, one).set(one == state)


def _age(committed_us: int) -> float:
    """Seconds since; never negative, because clocks of two machines differ."""
    return max(0.0, time.time() - committed_us / 1_000_000)
