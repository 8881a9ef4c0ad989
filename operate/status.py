"""Where a pipeline stands: capture's positions, the topics and apply's control rows put together. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from schemas.positions import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from capture.operations import LogState
    from operate.applied import Applied, AppliedTable
    from operate.waiting import Partition
    from schemas.positions import Positions, StreamRecord, TableRecord

#: Log that an idle server writes between two heartbeats (checkpoints, vacuum) is no lag, in bytes.
_NOISE_BYTES: Final = 1 << 20

_HALTED: Final = ("blocked", "needs_resync", "diverged")


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out; None where a system could not be asked. ``now`` is in seconds since 1970.

    ``patience_s``: seconds after a save in which a capture that says nothing is held to run.
    """

    pipeline: str
    now: float
    positions: Positions
    applied: Applied | None
    ends: Mapping[Partition, int]
    source: LogState | None
    applying: bool | None
    patience_s: float


def document(facts: Facts) -> dict[str, Any]:
    """Return the status as it stands in JSON: every key always there, unknown figures None."""
    capture = _capture(facts)
    tables = [_table(facts, record, capture["lag_seconds"]) for _, record in sorted(facts.positions.tables.items())]
    return {"pipeline": facts.pipeline, "capture": capture, "apply": _apply(facts), "tables": tables}


# --- capture ---------------------------------------------------------------------------------------------------------


def _capture(facts: Facts) -> dict[str, Any]:
    stream, source = facts.positions.stream, facts.source
    state = capture_state(facts.positions, source, facts.now, facts.patience_s)
    behind = source.behind_bytes if source else None
    return {
        "state": state,
        "lag_seconds": None if stream is None or behind is None else _capture_lag(facts, stream, behind),
        "lag_bytes": behind,
        "retained_bytes": source.retained_bytes if source else None,
        "slot_status": source.status if source else None,
        "reason": stream.reason if stream else None,
        "address": stream.address if stream is not None and state == "running" else None,
        "rows": stream.rows if stream else None,
        "reference_rows": stream.reference_rows if stream else None,
    }


def capture_state(positions: Positions, source: LogState | None, now: float, patience_s: float) -> str:
    """Return running, stopped, not_started, or not_responding where only the age of its last word is known.

    A running capture saves at least at every heartbeat; after ``patience_s`` without a save it hangs or is gone.
    """
    stream = positions.stream
    if source is not None and source.active:
        return "running"
    if stream is None:
        return "not_started"
    if stream.state != "running" or (source is not None and source.active is not None):
        return "stopped"
    return "running" if now - stream.saved_ms / 1000 < patience_s else "not_responding"


def _capture_lag(facts: Facts, stream: StreamRecord, behind: int) -> float:
    """Return how old the topics' state is at most: 0 when they hold all there is."""
    since_save = facts.now - stream.saved_ms / 1000
    if behind <= _NOISE_BYTES:
        return 0.0 if since_save < facts.patience_s else _seconds(since_save)
    return _age(facts.now, stream.committed_us) if stream.committed_us else _seconds(since_save)


# --- apply -----------------------------------------------------------------------------------------------------------


def _apply(facts: Facts) -> dict[str, Any]:
    state = None if facts.applying is None else "running" if facts.applying else "stopped"
    lags = [(_lag_events(facts, record), _committed(facts, record)) for record in facts.positions.tables.values()]
    if facts.applied is None:
        return {"state": state, "lag_seconds": None, "lag_events": None, "reference_rows": None}
    ages = [_age(facts.now, committed) if events else 0.0 for events, committed in lags if not events or committed]
    known = len(ages) == len(lags)
    return {
        "state": state,
        "lag_seconds": max(ages, default=0.0) if known else None,
        "lag_events": sum(events or 0 for events, _ in lags),
        "reference_rows": sum(table.reference_rows for table in facts.applied.tables.values()),
    }


def _lag_events(facts: Facts, record: TableRecord) -> int | None:
    """Return how many messages of a table's topic are not applied."""
    if facts.applied is None:
        return None
    lag = 0
    for partition in range(record.partitions):
        place = (record.topic, partition)
        checkpoint = facts.applied.checkpoints.get(place)
        lag += max(0, facts.ends.get(place, 0) - (checkpoint.next_offset if checkpoint else 0))
    return lag


def _committed(facts: Facts, record: TableRecord) -> int | None:
    """Return the source commit time of the oldest newest event of a table's partitions, in microseconds."""
    marks = facts.applied.checkpoints.values() if facts.applied is not None else ()
    return min((c.committed_us for c in marks if c.topic == record.topic and c.committed_us), default=None)


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(facts: Facts, record: TableRecord, capture_lag: float | None) -> dict[str, Any]:
    applied = facts.applied.tables.get(record.table) if facts.applied is not None else None
    state, reason, fix = _state(facts, record, applied)
    rows = applied.snapshot_rows if applied is not None else None
    total = record.rows_done if record.phase is Phase.STREAMING else record.rows_total
    return {
        "table": record.table,
        "state": state,
        "reason": reason,
        "fix": fix,
        "snapshot_rows": rows,
        "snapshot_total": total,
        "eta_seconds": _eta(facts.now, record, rows, total) if state == "snapshotting" else None,
        "inserts": applied.inserts if applied else None,
        "updates": applied.updates if applied else None,
        "deletes": applied.deletes if applied else None,
        "rejected": applied.rejected if applied else None,
        "reference_rows": applied.reference_rows if applied else None,
        "lag_seconds": _table_lag(facts, record, capture_lag),
    }


def _state(facts: Facts, record: TableRecord, applied: AppliedTable | None) -> tuple[str, str | None, str | None]:
    """Return state, reason and fix of a table: capture's word while it copies or has halted, then apply's."""
    copying = record.phase in (Phase.PENDING, Phase.SNAPSHOTTING)
    if record.phase in (Phase.BLOCKED, Phase.NEEDS_RESYNC):
        return record.phase.value, record.reason, record.fix
    # What apply says of the snapshot before this one does not count any more.
    if applied is not None and applied.state in _HALTED and not (copying and record.generation > 1):
        return applied.state, applied.reason, applied.fix
    if copying:
        return record.phase.value, record.reason, record.fix
    return ("streaming" if _is_loaded(facts, record) else "snapshotting"), None, None


def _is_loaded(facts: Facts, record: TableRecord) -> bool:
    """Whether the target holds the whole snapshot: apply has passed the order key that completed it."""
    if facts.applied is None or record.loaded is None:
        return False
    loaded = bytes.fromhex(record.loaded)
    marks = (c.order_key for c in facts.applied.checkpoints.values() if c.topic == record.topic)
    return any(mark is not None and mark >= loaded for mark in marks)


def _eta(now: float, record: TableRecord, rows: int | None, total: int | None) -> float | None:
    """Return the seconds that the rest of a snapshot takes at its pace so far."""
    if not rows or total is None or record.started_ms is None:
        return None
    elapsed = now - record.started_ms / 1000
    return _seconds(max(0, total - rows) * elapsed / rows)


def _table_lag(facts: Facts, record: TableRecord, capture_lag: float | None) -> float | None:
    """Return how old the table's state in the target is at most; None while it is not known, or not a state at all."""
    events = _lag_events(facts, record)
    if events is None or record.phase is not Phase.STREAMING:
        return None
    if events == 0:
        return capture_lag
    committed = _committed(facts, record)
    return _age(facts.now, committed) if committed else None


def _age(now: float, committed_us: int | None) -> float:
    return _seconds(now - (committed_us or 0) / 1_000_000)


def _seconds(value: float) -> float:
    return round(max(0.0, value), 3)
