"""The row of a table in ``ferryman.table_state``: its state, why, what to do, and counts of what was applied."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.block import Op, Origin
from schemas.columnar.received import ReceivedColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apply.checkpoint import Place
    from apply.session import Session
    from schemas.columnar.received import AnyReceived

#: A new snapshot's rows are counted from its opening.
_OPENED: Final = """
UPDATE ferryman.table_state SET snapshot_rows = 0 WHERE pipeline = %s AND "table" = ANY (%s)"""

_INTO: Final = """
INSERT INTO ferryman.table_state AS s
    (pipeline, "table", topic, state, columns, made_by_ferryman,
     inserts, updates, deletes, reference_rows, snapshot_rows) """
_ADDED_UP: Final = """
ON CONFLICT (pipeline, "table") DO UPDATE SET
    topic = excluded.topic, state = excluded.state, reason = NULL, fix = NULL,
    columns = excluded.columns, made_by_ferryman = s.made_by_ferryman OR excluded.made_by_ferryman,
    inserts = s.inserts + excluded.inserts, updates = s.updates + excluded.updates,
    deletes = s.deletes + excluded.deletes, reference_rows = s.reference_rows + excluded.reference_rows,
    snapshot_rows = s.snapshot_rows + excluded.snapshot_rows, updated_at = now()"""
_APPLIED: Final = _INTO + "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)" + _ADDED_UP
#: The same for several tables, given as JSON: one statement, however many there are.
_APPLIED_ALL: Final = (
    _INTO
    + """SELECT * FROM json_to_recordset(%s::json) AS n (
    pipeline text, "table" text, topic text, state text, columns text[], made_by_ferryman boolean,
    inserts bigint, updates bigint, deletes bigint, reference_rows bigint, snapshot_rows bigint)"""
    + _ADDED_UP
)

_HALTED: Final = """
INSERT INTO ferryman.table_state AS s (pipeline, "table", topic, state, reason, fix)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (pipeline, "table") DO UPDATE SET
    topic = excluded.topic, state = excluded.state, reason = excluded.reason, fix = excluded.fix, updated_at = now()"""

_LOADED: Final = """
UPDATE ferryman.table_state SET state = 'streaming', updated_at = now()
WHERE pipeline = %s AND "table" = %s AND state = 'loading'"""

_READ: Final = """
SELECT state, made_by_ferryman, columns FROM ferryman.table_state WHERE pipeline = %s AND "table" = %s"""

_STATES: Final = 'SELECT "table", state FROM ferryman.table_state WHERE pipeline = %s AND "table" = ANY (%s)'

_HAS_ROWS: Final = 'SELECT FROM ferryman.table_state WHERE "table" = %s AND columns IS NOT NULL'


@dataclass(slots=True)
class Tally:
    """Counts of events. ``opened``: a new snapshot began, and ``snapshot_rows`` counts from there."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    snapshot_rows: int = 0
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What a batch did to a table's row: its state now, counts, the columns of its newest version.

    ``made``: ferryman made the table in it. ``by_reference``: events that did not go by column all the way.
    """

    place: Place
    table: str
    state: str
    counts: Tally
    columns: list[str]
    made: bool
    by_reference: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a table. ``columns`` are those of the newest version that was applied."""

    state: str
    made_by_ferryman: bool
    columns: frozenset[str]


def tally(batch: Sequence[AnyReceived]) -> Tally:
    """Count the events of a batch; the two halves of a key change are one update."""
    counts = Tally()
    for received in batch:
        if isinstance(received, ReceivedColumns):
            _tally_columns(received, counts)
            continue
        for op, key_change, origin in zip(received.ops, received.key_change, received.origins, strict=True):
            if op is Op.READ:
                counts.snapshot_rows += 1
            elif op is Op.TRUNCATE:
                if origin is Origin.OPENING:
                    counts.opened, counts.snapshot_rows = True, 0
            elif key_change:
                counts.updates += op is Op.CREATE
            elif op is Op.CREATE:
                counts.inserts += 1
            elif op is Op.UPDATE:
                counts.updates += 1
            else:
                counts.deletes += 1
    return counts


def _tally_columns(received: ReceivedColumns, counts: Tally) -> None:
    opening = received.opening()
    if opening is not None:
        counts.opened, counts.snapshot_rows = True, 0
    halves = received.key_change
    counts.snapshot_rows += received.count(Op.READ, from_place=opening or 0)
    counts.inserts += received.count(Op.CREATE, ~halves)
    counts.updates += received.count(Op.UPDATE) + received.count(Op.CREATE, halves)
    counts.deletes += received.count(Op.DELETE, ~halves)


def read(session: Session, pipeline: str, table: str) -> Recorded | None:
    """Return what is recorded of a table, or None if it was never seen."""
    row = session.execute(_READ, (pipeline, table)).fetchone()
    return None if row is None else Recorded(row[0], row[1], frozenset(row[2] or ()))


def states(session: Session, pipeline: str, tables: list[str]) -> dict[str, str]:
    """Return the states of those of these tables that were ever seen, by name."""
    return dict(session.execute(_STATES, (pipeline, tables)).fetchall())


def has_rows(session: Session, table: str) -> bool:
    """Whether any pipeline ever applied rows to a table of this name."""
    return session.execute(_HAS_ROWS, (table,)).fetchone() is not None


def applied(session: Session, batches: Sequence[Applied]) -> None:
    """Record batches of a pipeline's tables, in their transaction. Whatever was wrong with the tables before is over.

    A single table has a statement of its own: it costs the server half as much.
    """
    opened = [done.table for done in batches if done.counts.opened]
    if opened:
        session.execute(_OPENED, (batches[0].place.pipeline, opened))
    if len(batches) == 1:
        session.execute(_APPLIED, list(_fields(batches[0]).values()))
    elif batches:
        session.execute(_APPLIED_ALL, (json.dumps(list(map(_fields, batches))),))


def _fields(done: Applied) -> dict[str, object]:
    """Return what a batch did as the columns of its table's row, in their order."""
    counts = done.counts
    return {
        "pipeline": done.place.pipeline, "table": done.table, "topic": done.place.topic, "state": done.state,
        "columns": done.columns, "made_by_ferryman": done.made, "inserts": counts.inserts, "updates": counts.updates,
        "deletes": counts.deletes, "reference_rows": done.by_reference, "snapshot_rows": counts.snapshot_rows,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a table stands still, as ``blocked`` or ``needs_resync``, and what to do about it."""

    state: str
    reason: str
    fix: str


def halted(session: Session, place: Place, table: str, halt: Halt) -> None:
    """Record that a table stands still."""
    session.execute(_HALTED, (place.pipeline, table, place.topic, halt.state, halt.reason, halt.fix))


def loaded(session: Session, pipeline: str, table: str) -> None:
    """Record that the snapshot of a table is complete in the target."""
    session.execute(_LOADED, (pipeline, table))
