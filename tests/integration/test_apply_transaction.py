"""Rows and checkpoint are one transaction: fencing, commits in doubt, parts of large transactions, openings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from apply import checkpoint, control, state
from apply.checkpoint import Place, take_over
from apply.errors import Blocked, Fenced
from apply.partition import Partition
from apply.session import Session
from apply.transaction import Moved, Transaction
from apply.work import Work
from runtime import postgres
from schemas.block import UNSENT, Op, Origin
from schemas.table import Column, TableSchema
from tests.unit.apply.histories import INT, TEXT, Event, received, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.live

PLACE = Place("p", "p.public.t", 0)


@pytest.fixture
def connect(target_db: str) -> Iterator[Callable[[], Session]]:
    sessions = []

    def open_session() -> Session:
        sessions.append(Session(lambda: postgres.connect(target_db, application_name="ferryman tests")))
        return sessions[-1]

    control.create(open_session())
    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def session(connect: Callable[[], Session]) -> Session:
    return connect()


class Owner:
    """One replica's view of the partition."""

    def __init__(self, session: Session, name: str = "one", batch_rows: int = 1000) -> None:
        self.session = session
        self.work = Work(PLACE, "public.t", batch_rows, "topic id")
        self.work.checkpoint = take_over(session, name, {PLACE: "topic id"}, 0.2)[PLACE]
        self.partition = self.work.partition = Partition(
            self.work.checkpoint.next_offset, self.work.checkpoint.order_key
        )

    def feed(self, made: TableSchema, events: list[Event], offset: int) -> Owner:
        self.partition.add(received(made, events, offset), 100 * len(events))
        self.partition.reach(offset + len(events))
        return self

    def apply(self, policy: str = "evolve") -> int:
        """Apply all that waits; return the number of batches."""
        count = 0
        while (batch := self.partition.take(self.work.limit)) is not None:
            Transaction(self.session, self.work, batch, policy).apply()
            self.work.session = None if batch.complete else self.session
            count += 1
        return count


def create(key: int, value: bytes = b"s", *, last: bool = True) -> Event:
    return Event(Op.CREATE, None, (b"%d" % key, value, b"b"), last=last)


def rows(session: Session, table: str = "public.t") -> list[tuple]:
    found = sorted(session.run(f"SELECT * FROM {table}").fetchall())
    session.commit()
    return found


def test_an_owner_that_was_replaced_writes_nothing_more(connect: Callable[[], Session]) -> None:
    first = Owner(connect(), "one").feed(table(), [create(1)], 0)
    first.apply()
    second = Owner(connect(), "two")
    first.feed(table(), [create(2)], 1)

    with pytest.raises(Fenced):
        first.apply()
    first.session.rollback()
    second.feed(table(), [create(3)], 1).apply()

    assert [row[0] for row in rows(second.session)] == [1, 3]


def test_an_owner_that_stands_still_in_a_transaction_loses_its_session(connect: Callable[[], Session]) -> None:
    frozen = Owner(connect(), "one", batch_rows=2).feed(table(), [create(i, last=False) for i in range(5)], 0)
    frozen.apply()

    heir = Owner(connect(), "two").feed(table(), [create(7)], 0)
    heir.apply()

    with pytest.raises(psycopg.OperationalError):
        frozen.feed(table(), [create(6)], 5).apply()
    assert [row[0] for row in rows(heir.session)] == [7]


def test_many_partitions_are_taken_over_at_once_from_whoever_stands_still(connect: Callable[[], Session]) -> None:
    frozen = Owner(connect(), "one", batch_rows=2).feed(table(), [create(i, last=False) for i in range(5)], 0)
    frozen.apply()
    session, other = connect(), Place("p", "p.public.u", 0)

    found = take_over(session, "two", {PLACE: "topic id", other: "another id"}, 0.2)

    assert {place: (known.topic_id, known.epoch) for place, known in found.items()} == {
        PLACE: ("topic id", 2),
        other: ("another id", 1),
    }
    with pytest.raises(psycopg.OperationalError):
        frozen.feed(table(), [create(6)], 5).apply()


class LosesAnswers(Session):
    """A session whose server commits, and whose network loses the answer."""

    def commit(self) -> None:
        super().commit()
        self.close()
        raise psycopg.OperationalError("the connection is lost")


@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_whose_answer_was_lost_is_found_in_the_checkpoint(
    target_db: str, connect: Callable[[], Session], happened: bool
) -> None:
    keyless = table(key=False, full=True)
    owner = Owner(connect()).feed(keyless, [create(1), create(2)], 0)
    batch = owner.partition.take(10)
    if happened:
        lossy = LosesAnswers(lambda: postgres.connect(target_db, application_name="ferryman tests"))
        with pytest.raises(psycopg.OperationalError):
            Transaction(lossy, owner.work, batch, "evolve").apply()

        with pytest.raises(Moved) as moved:
            Transaction(owner.session, owner.work, batch, "evolve").apply()
        assert moved.value.standing.next_offset == batch.next_offset
        owner.session.rollback()
    else:
        Transaction(owner.session, owner.work, batch, "evolve").apply()

    assert [row[0] for row in rows(owner.session)] == [1, 2]


def test_a_transaction_larger_than_memory_is_seen_at_its_end_mark_alone(connect: Callable[[], Session]) -> None:
    owner = Owner(connect(), batch_rows=10)
    watcher = connect()
    owner.feed(table(), [create(0)], 0).apply()
    events = [create(i, last=False) for i in range(1, 40)]

    parts = owner.feed(table(), events, 1).apply()

    assert parts == 1
    assert len(rows(watcher)) == 1
    owner.feed(table(), [Event(Op.UPDATE, None, (b"%d" % i, b"x", UNSENT)) for i in range(40)], 40).apply()
    assert len(rows(watcher)) == 1
    owner.feed(table(), [create(99)], 80).apply()
    assert [row[1] for row in rows(watcher)] == ["x"] * 40 + ["s"]
    assert state.read(watcher, "p", "public.t").state == "loading"
    assert owner.work.checkpoint.next_offset == 81


def test_a_deferred_key_shared_beyond_a_batch_is_refused(session: Session) -> None:
    whole = table(full=True)
    owner = Owner(session, batch_rows=3).feed(whole, [create(1)], 0)
    owner.apply()
    fine = [create(i, last=False) for i in range(2, 7)]
    owner.feed(whole, fine, 1).apply()

    with pytest.raises(Blocked, match="deferrable key"):
        owner.feed(whole, [create(i, last=False) for i in (9, 8, 7, 1)], 6).apply()


def test_a_replayed_prefix_of_a_keyless_table_is_dropped(connect: Callable[[], Session]) -> None:
    """Capture died after publishing part of a transaction, and publishes it again from its start."""
    keyless = table(key=False, full=True)
    events = [create(1, last=False), create(1, last=False), create(2)]
    again = Partition(0, None)
    owner = Owner(connect())
    owner.partition = owner.work.partition = again
    again.add(received(keyless, events[:2]), 1)
    owner.apply()
    replay = received(keyless, events)
    replay.offsets = [2, 3, 4]
    again.add(replay, 1)
    again.reach(5)

    owner.apply()
    heir = Owner(connect())
    replay.offsets = [5, 6, 7]
    heir.partition.add(replay, 1)
    heir.partition.reach(8)
    heir.apply()

    assert [row[0] for row in rows(heir.session)] == [1, 1, 2]
    assert heir.work.checkpoint.next_offset == 8


OPENING = Event(Op.TRUNCATE, None, None, last=True, origin=Origin.OPENING)


def test_an_opening_does_not_empty_rows_that_ferryman_did_not_write(session: Session) -> None:
    session.run("CREATE TABLE public.t (id int PRIMARY KEY, small text, big text)")
    session.run("INSERT INTO public.t VALUES (1)")
    session.commit()
    owner = Owner(session).feed(table(), [OPENING, create(2)], 0)
    batch = owner.partition.take(10)

    with pytest.raises(Blocked, match="rows that ferryman did not write") as blocked:
        Transaction(session, owner.work, batch, "evolve").apply()
    session.rollback()
    assert 'TRUNCATE "public"."t"' in blocked.value.fix
    session.run('TRUNCATE "public"."t"')
    session.commit()
    Transaction(session, owner.work, batch, "evolve").apply()

    assert [row[0] for row in rows(session)] == [2]


def test_an_opening_empties_what_ferryman_made_or_filled(session: Session) -> None:
    owner = Owner(session).feed(table(), [OPENING, create(1)], 0)
    owner.apply()
    owner.feed(table(), [OPENING, create(2)], 2).apply()
    assert [row[0] for row in rows(session)] == [2]

    session.run("DELETE FROM ferryman.checkpoint")
    session.commit()
    Owner(session).feed(table(), [OPENING, create(3)], 0).apply()

    assert [row[0] for row in rows(session)] == [3]


def version(*columns: Column) -> TableSchema:
    return TableSchema(
        "public", "t", (Column("id", INT, target_type="integer", key_position=1, nullable=False), *columns)
    )


def test_the_table_grows_with_the_source(session: Session) -> None:
    name = Column("name", TEXT, target_type="character varying(5)", nullable=False)
    owner = Owner(session)
    owner.feed(version(name), [Event(Op.CREATE, None, (b"1", b"a"), last=True)], 0).apply()
    wider = Column("name", TEXT, target_type="character varying(50)")
    added = Column("more", TEXT, target_type="text", nullable=False, missing="it's \\ old")
    odd = Column("mood", TEXT, target_type="public.mood", fallback_type="text")
    owner.feed(version(wider, added, odd), [Event(Op.CREATE, None, (b"2", None, b"m", b"sad"), last=True)], 1).apply()

    assert rows(session) == [(1, "a", "it's \\ old", None), (2, None, "m", "sad")]
    columns = session.run(
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, atthasdef FROM pg_attribute "
        "WHERE attrelid = 'public.t'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert columns == [
        ("id", "integer", True, False),
        ("name", "character varying(50)", False, False),
        ("more", "text", True, False),
        ("mood", "text", False, False),
    ]


def test_versions_may_change_within_one_batch(session: Session) -> None:
    owner = Owner(session)
    owner.feed(version(), [OPENING, Event(Op.CREATE, None, (b"1",), last=True)], 0)
    owner.feed(version(Column("more", TEXT)), [Event(Op.CREATE, None, (b"2", b"m"), last=True)], 2)

    assert owner.apply() == 1
    assert rows(session) == [(1, None), (2, "m")]


def test_a_table_just_made_is_not_taken_for_empty_again(session: Session) -> None:
    owner = Owner(session).feed(table(), [OPENING, *(create(i) for i in range(50))], 0)
    owner.apply()

    owner.feed(table(), [create(i, b"again") for i in range(60)], 51).apply()

    assert {row[1] for row in rows(session)} == {"again"}


def test_a_table_dropped_at_the_target_is_not_made_anew_without_its_rows(session: Session) -> None:
    owner = Owner(session).feed(table(), [OPENING, create(1)], 0)
    owner.apply()
    session.run("DROP TABLE public.t")
    session.commit()
    session.known.clear()

    with pytest.raises(Blocked, match=r"the table public\.t was dropped"):
        owner.feed(table(), [create(2)], 2).apply()
    session.rollback()
    Owner(session).feed(table(), [OPENING, create(3)], 2).apply()

    assert [row[0] for row in rows(session)] == [3]


def test_a_column_dropped_at_the_target_blocks_the_table(session: Session) -> None:
    owner = Owner(session)
    full = version(Column("more", TEXT))
    owner.feed(full, [Event(Op.CREATE, None, (b"1", b"m"), last=True)], 0).apply()
    session.run("ALTER TABLE public.t DROP COLUMN more")
    session.commit()
    session.known.clear()

    with pytest.raises(Blocked, match="was dropped"):
        owner.feed(full, [Event(Op.CREATE, None, (b"2", b"m"), last=True)], 1).apply()


def test_a_strict_policy_blocks_on_any_difference_and_ignore_leaves_columns_out(session: Session) -> None:
    owner = Owner(session).feed(version(Column("more", TEXT)), [Event(Op.CREATE, None, (b"1", b"m"), last=True)], 0)
    batch = owner.partition.take(10)
    with pytest.raises(Blocked, match="CREATE TABLE"):
        Transaction(session, owner.work, batch, "strict").apply()
    session.rollback()
    with pytest.raises(Blocked, match="has no table"):
        Transaction(session, owner.work, batch, "ignore").apply()
    session.rollback()
    session.run("CREATE TABLE public.t (id int PRIMARY KEY)")
    session.commit()
    with pytest.raises(Blocked, match="ADD COLUMN"):
        Transaction(session, owner.work, batch, "strict").apply()
    session.rollback()

    Transaction(session, owner.work, batch, "ignore").apply()

    assert rows(session) == [(1,)]


@pytest.mark.parametrize("loaded", [None, b"\x00" * 28])
def test_part_of_a_row_that_is_not_there_passes_only_while_the_table_loads(
    session: Session, loaded: bytes | None
) -> None:
    owner = Owner(session).feed(table(), [OPENING], 0)
    owner.apply()
    owner.partition.loaded = loaded
    owner.feed(table(), [Event(Op.UPDATE, None, (b"1", b"x", UNSENT), last=True)], 1)

    if loaded is None:
        owner.apply()
    else:
        with pytest.raises(Blocked, match="1 rows that were changed"):
            owner.apply()
    session.rollback()


def test_counts_and_times_stand_in_the_control_tables(session: Session) -> None:
    moved = [Event(Op.DELETE, (b"1", UNSENT, UNSENT), None, key_change=True)]
    moved += [Event(Op.CREATE, (b"1", UNSENT, UNSENT), (b"5", b"x", UNSENT), key_change=True, last=True)]
    snapshot = [Event(Op.READ, None, (b"%d" % i, None, None), last=True) for i in (1, 2)]
    delete = Event(Op.DELETE, (b"2", UNSENT, UNSENT), None, last=True)
    owner = Owner(session).feed(table(), [OPENING, *snapshot, create(3), *moved, delete], 0)

    owner.apply()

    found = session.run(
        "SELECT state, inserts, updates, deletes, snapshot_rows, rejected, reference_rows FROM ferryman.table_state"
    )
    assert found.fetchone() == ("loading", 1, 1, 1, 2, 0, 7)
    stored = session.run(
        "SELECT next_offset, order_key, epoch, owner, committed_us FROM ferryman.checkpoint"
    ).fetchone()
    assert stored == (7, owner.partition.mark, 1, "one", 0)
    assert checkpoint.fence(session, {PLACE: 1})[PLACE].next_offset == 7
