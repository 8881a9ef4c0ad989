"""The checkpoint row of a topic partition: who may write, and from which offset on. It decides, not Kafka's group.

Each apply transaction locks the row under its owner's epoch, and moves it with the data. So data and checkpoint are
one, an owner that was replaced can write nothing more, and after a COMMIT whose answer was lost the row tells what
happened.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from psycopg import errors

from apply.errors import Fenced
from runtime import failpoints, postgres

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
SELECT pipeline, topic, partition, next_offset, order_key, topic_id, leader_epoch, epoch FROM ferryman.checkpoint
WHERE pipeline = %s AND topic = %s AND partition = %s AND epoch = %s FOR UPDATE"""

_SAVE: Final = """
UPDATE ferryman.checkpoint
SET next_offset = %s, order_key = %s, topic_id = %s, leader_epoch = %s,
    committed_us = COALESCE(%s, committed_us), updated_at = now()
WHERE pipeline = %s AND topic = %s AND partition = %s AND epoch = %s"""

#: The same for several partitions, given as JSON: one statement each, however many there are.
_LOCK_ALL: Final = """
SELECT c.pipeline, c.topic, c.partition, c.next_offset, c.order_key, c.topic_id, c.leader_epoch, c.epoch
FROM json_to_recordset(%s::json) AS o (pipeline text, topic text, partition integer, epoch bigint)
JOIN ferryman.checkpoint c USING (pipeline, topic, partition, epoch) FOR UPDATE OF c"""

_SAVE_ALL: Final = """
UPDATE ferryman.checkpoint c
SET next_offset = n.next_offset, order_key = n.order_key, topic_id = n.topic_id, leader_epoch = n.leader_epoch,
    committed_us = COALESCE(n.committed_us, c.committed_us), updated_at = now()
FROM json_to_recordset(%s::json) AS n (
    pipeline text, topic text, partition integer, epoch bigint, next_offset bigint, order_key bytea, topic_id text,
    leader_epoch integer, committed_us bigint)
WHERE (c.pipeline, c.topic, c.partition, c.epoch) = (n.pipeline, n.topic, n.partition, n.epoch)"""

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


class Move(NamedTuple):
    """A partition's next checkpoint, and the commit time at the source of its newest event, if any (microseconds)."""

    place: Place
    checkpoint: Checkpoint
    committed_us: int | None


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
        locked = _lock_rows(session, epochs)
    found = {Place(*row[:3]): Checkpoint(*row[3:]) for row in locked.fetchall()}
    if found.keys() != epochs.keys():
        raise Fenced
    return found


def _lock_rows(session: Session, epochs: Mapping[Place, int]) -> Cursor[Any]:
    """Lock in the order given. A single partition has statements of its own: they cost the server half as much."""
    if len(epochs) == 1:
        ((place, epoch),) = epochs.items()
        session.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
        return session.execute(_LOCK, (*place, epoch))
    locks = [place.lock for place in epochs]
    session.execute("SELECT pg_advisory_xact_lock(n) FROM unnest(%s::bigint[]) n", (locks,))
    return session.execute(_LOCK_ALL, (json.dumps([{**place._asdict(), "epoch": e} for place, e in epochs.items()]),))


def save(session: Session, moves: Sequence[Move]) -> None:
    """Move the rows, in the transaction that holds the data and has the rows locked."""
    if len(moves) == 1:
        ((place, done, committed_us),) = moves
        values = (done.next_offset, done.order_key, done.topic_id, done.leader_epoch, committed_us)
        session.execute(_SAVE, (*values, *place, done.epoch))
    elif moves:
        session.execute(_SAVE_ALL, (json.dumps(list(map(_fields, moves))),))


def _fields(move: Move) -> dict[str, object]:
    """Return a move as the columns of its row, for JSON."""
    key = move.checkpoint.order_key
    told = {"committed_us": move.committed_us, "order_key": None if key is None else "\\x" + key.hex()}
    return {**move.place._asdict(), **move.checkpoint._asdict(), **told}


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
