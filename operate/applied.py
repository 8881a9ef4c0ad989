"""What apply has done so far, read from its control tables on the target (schema ``ferryman``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors
from psycopg.rows import class_row

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one topic partition is in the target.

    ``next_offset`` is the first offset not applied, ``order_key`` the packed order key of the newest event applied,
    ``committed_us`` its commit time at the source in microseconds since 1970 UTC. ``topic_id`` tells a topic from a
    later one of the same name.
    """

    topic: str
    partition: int
    topic_id: str
    next_offset: int
    order_key: bytes | None = None
    committed_us: int | None = None


@dataclass(frozen=True, slots=True)
class AppliedTable:
    """Apply's own view of one table; ``state`` is loading, streaming, blocked, needs_resync or diverged.

    ``reference_rows``: events that went one by one instead of by column.
    """

    table: str
    topic: str
    state: str
    reason: str | None = None
    fix: str | None = None
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    snapshot_rows: int = 0
    rejected: int = 0
    reference_rows: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """The control rows of one pipeline: checkpoints by topic and partition, tables by the source's name."""

    checkpoints: dict[tuple[str, int], Checkpoint] = field(default_factory=dict)
    tables: dict[str, AppliedTable] = field(default_factory=dict)


_CHECKPOINTS: Final = """
SELECT topic, partition, topic_id::text, next_offset, order_key, committed_us
FROM ferryman.checkpoint WHERE pipeline = %s"""

_TABLES: Final = """
SELECT "table", topic, state, reason, fix, inserts, updates, deletes, snapshot_rows, rejected, reference_rows
FROM ferryman.table_state WHERE pipeline = %s"""


def read(connection: psycopg.Connection[Any], pipeline: str) -> Applied:
    """Return the control rows of a pipeline; nothing where apply never ran. Raises psycopg.Error.

    Checkpoints are read last, so they are never older than the states beside them.
    """
    try:
        tables = connection.cursor(row_factory=class_row(AppliedTable)).execute(_TABLES, [pipeline]).fetchall()
        marks = connection.cursor(row_factory=class_row(Checkpoint)).execute(_CHECKPOINTS, [pipeline]).fetchall()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return Applied()
    return Applied({(c.topic, c.partition): c for c in marks}, {t.table: t for t in tables})
