"""The checkpoint row of a topic partition: who may write, and from which offset on. It decides, not Kafka's group.

Each apply transaction locks the row under its owner's epoch, and moves it with the data. So data and checkpoint are
one, an owner that was replaced can write nothing more, and after a COMMIT whose answer was lost the row tells what
happened.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from psycopg import errors

from apply.errors import Fenced
from runtime import failpoints, postgres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Cursor

    from apply.session import Session

_log = structlog.get_logger()

_TAKE_OVER: Final = """
INSERT INTO ferryman.checkpoint AS c (pipeline, topic, partition, topic_id, next_offset, epoch, owner)
VALUES (%s, %s, %s, %s, 0, 1, %s)
ON CONFLICT (pipeline, topic, partition)
DO UPDATE SET epoch = c.epoch + 1, owner = excluded.owner, updated_at = now()
RETURNING next_offset, order_key, topic_id, leader_epoch, epoch"""

_LOCK: Final = """
SELECT next_offset, order_key, topic_id, leader_epoch, epoch FROM ferryman.checkpoint
WHERE pipeline = %s AND topic = %s AND partition = %s AND epoch = %s FOR UPDATE"""

_SAVE: Final = """
UPDATE ferryman.checkpoint
SET next_offset = %s, order_key = %s, topic_id = %s, leader_epoch = %s,
    committed_us = COALESCE(%s, committed_us), updated_at = now()
WHERE pipeline = %s AND topic = %s AND partition = %s AND epoch = %s"""

#: Sessions that hold the advisory lock of a partition: those with an open transaction for it.
_HOLDERS: Final = """
SELECT pid, pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = ANY (%s::bigint[])"""


class Place(NamedTuple):
    """A topic partition of a pipeline."""

    pipeline: str
    topic: str
    partition: int

    @property
    def lock(self) -> int:
        """The number of its advisory lock: 64 bits, signed."""
        return _lock(*self)


@lru_cache(4096)
def _lock(pipeline: str, topic: str, partition: int) -> int:
    digest = hashlib.sha256("\0".join(("ferryman", pipeline, topic, str(partition))).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Checkpoint(NamedTuple):
    """What a checkpoint row says. ``order_key`` is None as long as nothing was applied."""

    next_offset: int
    order_key: bytes | None
    topic_id: str
    leader_epoch: int | None
    epoch: int


def take_over(session: Session, owner: str, places: Mapping[Place, str], patience_s: float) -> dict[Place, Checkpoint]:
    """Become the owner of partitions, all in one transaction, and return where each stands.

    ``places`` has the id of each one's topic: it is recorded for a partition never seen before; otherwise the one
    recorded earlier is returned. An owner that was replaced while its transaction is open (a process that was stopped)
    loses its session.
    """
    try:
        found = _take_over(session, owner, places, patience_s)
    except errors.LockNotAvailable:
        session.rollback()
        ended = session.execute(_HOLDERS, ([place.lock for place in places],)).fetchall()
        session.commit()
        _log.warning("partition.old_owner_ended", partitions=len(places), sessions=len(ended))
        found = _take_over(session, owner, places, patience_s)
    failpoints.hit("apply.takeover")
    return found


def fence(session: Session, epochs: Mapping[Place, int]) -> dict[Place, Checkpoint]:
    """Lock the rows of partitions for the open transaction and return where each stands.

    ``epochs`` has those under which they are ours. Raises Fenced if one has another owner. The advisory locks tell a
    successor which session to end, should this process stand still in the transaction.
    """
    with session.together():
        locked = {}
        for place, epoch in epochs.items():
            session.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
            locked[place] = session.execute(_LOCK, (*place, epoch))
    found = {place: cursor.fetchone() for place, cursor in locked.items()}
    if None in found.values():
        raise Fenced
    return {place: Checkpoint(*row) for place, row in found.items() if row is not None}


def save(session: Session, place: Place, checkpoint: Checkpoint, committed_us: int | None) -> None:
    """Move the row, in the transaction that holds the data and has the row locked."""
    values = (checkpoint.next_offset, checkpoint.order_key, checkpoint.topic_id, checkpoint.leader_epoch, committed_us)
    session.execute(_SAVE, (*values, *place, checkpoint.epoch))


def _take_over(session: Session, owner: str, places: Mapping[Place, str], patience_s: float) -> dict[Place, Checkpoint]:
    with session.together():
        session.execute("SELECT set_config('lock_timeout', %s, true)", (postgres.duration(patience_s),))
        taken = {}
        for place, topic_id in places.items():
            session.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
            taken[place] = session.execute(_TAKE_OVER, (*place, topic_id, owner))
        session.commit()
    return {place: _checkpoint(cursor) for place, cursor in taken.items()}


def _checkpoint(taken: Cursor[Any]) -> Checkpoint:
    row = taken.fetchone()
    if row is None:
        raise AssertionError("an upsert that returns no row")
    return Checkpoint(*row)
