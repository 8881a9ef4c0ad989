"""ferryman's own tables on the target: schema ``ferryman``. People and ``ferryman status`` read them by SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from apply.session import Session

#: One row for each topic partition: what is applied, and who may apply more. ``order_key`` is the high-water mark,
#: ``committed_us`` the source commit time of the newest applied event (microseconds since 1970).
_CHECKPOINT: Final = """
CREATE TABLE IF NOT EXISTS ferryman.checkpoint (
    pipeline text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    topic_id text NOT NULL,
    next_offset bigint NOT NULL,
    leader_epoch integer,
    order_key bytea,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    committed_us bigint,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, topic, partition)
)"""

#: One row for each table, by the source's name. Counts are events applied since the table was first seen;
#: ``snapshot_rows`` counts those of its newest snapshot, ``rejected`` events that were set aside,
#: ``reference_rows`` events that were decoded or planned one by one instead of by column. ``columns`` are those of the
#: newest table version applied.
_TABLE_STATE: Final = """
CREATE TABLE IF NOT EXISTS ferryman.table_state (
    pipeline text NOT NULL,
    "table" text NOT NULL,
    topic text NOT NULL,
    state text NOT NULL CHECK (state IN ('loading', 'streaming', 'blocked', 'needs_resync', 'diverged')),
    reason text,
    fix text,
    columns text[],
    made_by_ferryman boolean NOT NULL DEFAULT false,
    inserts bigint NOT NULL DEFAULT 0,
    updates bigint NOT NULL DEFAULT 0,
    deletes bigint NOT NULL DEFAULT 0,
    snapshot_rows bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    reference_rows bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, "table")
)"""

#: Columns that came after the first version, so that tables made by an earlier one serve on.
_ADDED: Final = "ALTER TABLE ferryman.table_state ADD COLUMN IF NOT EXISTS reference_rows bigint NOT NULL DEFAULT 0"

#: Looks at the newest column of each table.
_PRESENT: Final = """
SELECT count(*) = 2 FROM information_schema.columns
WHERE table_schema = 'ferryman'
  AND (table_name, column_name) IN (('checkpoint', 'pipeline'), ('table_state', 'reference_rows'))"""

#: Replicas that start together would trip over each other's CREATE ... IF NOT EXISTS: one of them at a time.
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('ferryman.control'))"


def create(session: Session) -> None:
    """Make the control tables unless they are there; a role without CREATE can use those that a DBA made."""
    present = session.execute(_PRESENT).fetchone()
    if present is None or not present[0]:
        session.execute(_ONE_AT_A_TIME)
        session.execute("CREATE SCHEMA IF NOT EXISTS ferryman")
        session.execute(_CHECKPOINT)
        session.execute(_TABLE_STATE)
        session.execute(_ADDED)
    session.commit()
