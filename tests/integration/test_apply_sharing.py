"""Small batches of several tables share a transaction of the target, and what is wrong with one concerns it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from apply import control
from apply.checkpoint import Place, take_over
from apply.consumer import PartitionId, Poll
from apply.loop import Loop, Parts
from apply.partition import Partition
from apply.session import Session
from apply.work import Work
from runtime import postgres
from runtime.settings import RetryConfig
from schemas.block import Op, Origin
from schemas.table import Column, TableSchema
from tests.unit.apply.histories import INT, TEXT, Event, received

pytestmark = pytest.mark.live

NAMES = ("a", "b", "c")
#: What is blocked is looked at again when a test says so, however long it takes.
PAUSES = RetryConfig(blocked_seconds=36_000, stuck_seconds=40_000)
KEYED = tuple(
    TableSchema(
        "public",
        name,
        (Column("id", INT, target_type="integer", key_position=1), Column("v", TEXT, target_type="text")),
    )
    for name in NAMES
)


def created(keys: Iterable[int]) -> list[Event]:
    return [Event(Op.CREATE, None, (b"%d" % key, b"v"), last=True) for key in keys]


class Replica:
    """The loop of apply over tables that are ours; what they get is put where messages would be decoded to."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self.fenced: list[str] = []
        self.works: dict[PartitionId, Work] = {}
        self.look = connect()
        for table in KEYED:
            work = Work(Place("p", f"p.public.{table.name}", 0), f"public.{table.name}", 1_000, "id")
            self.works[PartitionId(work.place.topic, 0)] = work
        self.take_over("one")
        ownership: Any = SimpleNamespace(
            works=self.works, check_topics=lambda: None, take_over=lambda _: None, start=lambda _: None,
            note_loaded=lambda _: None, lost=self._lost,
        )  # fmt: skip
        consumer: Any = SimpleNamespace(
            poll=lambda _: Poll({}, [], set()), hold=lambda _: None, note=lambda _: None, known_end=lambda _: 0
        )
        reader: Any = None
        self.loop = Loop(Parts(consumer, ownership, reader, lambda: None, connect, "evolve", PAUSES))

    def take_over(self, owner: str, *names: str) -> None:
        works = [work for work in self.works.values() if work.table.removeprefix("public.") in (names or NAMES)]
        found = take_over(self.look, owner, {work.place: "id" for work in works}, 1)
        for work in works:
            if not names:
                work.checkpoint = found[work.place]
                work.partition = Partition(0, None)
                work.started = True

    def insert(self, *keys: int) -> None:
        """Let each table get these rows, and apply them in one turn."""
        for table, work in zip(KEYED, self.works.values(), strict=True):
            if not work.blocked:
                self.take_in(work, table, created(keys))
        self.loop.turn(0)

    def take_in(self, work: Work, table: TableSchema, events: list[Event]) -> None:
        """Let a table get these events, from its position on."""
        offset = work.partition.position
        work.partition.add(received(table, events, offset), 100)
        work.partition.reach(offset + len(events))

    def read_again(self, name: str, *keys: int) -> None:
        """Read a table that was blocked from its checkpoint on, and apply that."""
        work = self.works[PartitionId(f"p.public.{name}", 0)]
        work.unblock()
        work.retry_at, work.started = 0.0, True
        self.take_in(work, KEYED[NAMES.index(name)], created(keys))
        self.loop.turn(0)

    def alter(self, statement: str) -> None:
        self.look.run(statement)
        self.look.commit()

    def rows(self, table: str) -> list[int]:
        found = self.look.run(f"SELECT id FROM public.{table} ORDER BY id").fetchall()
        self.look.commit()
        return [key for (key,) in found]

    def commits(self) -> dict[str, set[str]]:
        """Return, by table, which transactions wrote its newest row and its checkpoint."""
        found = {
            table: {
                str(self.look.run(query).fetchone())
                for query in (
                    f"SELECT xmin FROM public.{table} ORDER BY id DESC LIMIT 1",
                    f"SELECT xmin FROM ferryman.checkpoint WHERE topic = 'p.public.{table}'",
                )
            }
            for table in NAMES
        }
        self.look.commit()
        return found

    def _lost(self, work: Work) -> None:
        self.fenced.append(work.table)
        work.checkpoint = None


@pytest.fixture
def connect(target_db: str, pipeline_name: str) -> Iterator[Callable[[], Session]]:
    """Open sessions of a role that may do what apply must, and not more."""
    role, sessions = f"{pipeline_name}_apply", []

    def open_connection() -> psycopg.Connection:
        connection = postgres.connect(target_db, application_name="ferryman tests", autocommit=True)
        connection.execute(f"SET ROLE {role}".encode())
        return connection

    def open_session() -> Session:
        sessions.append(Session(open_connection))
        return sessions[-1]

    with psycopg.connect(target_db, autocommit=True) as administrator:
        name = administrator.info.dbname
        administrator.execute(f"CREATE ROLE {role}".encode())
        administrator.execute(f"GRANT CREATE ON DATABASE {name} TO {role}".encode())
        administrator.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}".encode())
        control.create(open_session())
        yield open_session
        for session in sessions:
            session.close()
        administrator.execute(f"DROP OWNED BY {role}".encode())
        administrator.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def replica(connect: Callable[[], Session]) -> Iterator[Replica]:
    made = Replica(connect)
    yield made
    made.loop.close()


def test_tables_and_their_checkpoints_are_committed_at_once(replica: Replica) -> None:
    replica.insert(1)
    replica.insert(2, 3)

    assert [replica.rows(name) for name in NAMES] == [[1, 2, 3]] * 3
    assert len(set.union(*replica.commits().values())) == 1
    assert [work.checkpoint.next_offset for work in replica.works.values() if work.checkpoint] == [3, 3, 3]


def test_tables_that_share_a_transaction_are_counted_as_those_alone(replica: Replica) -> None:
    opening = Event(Op.TRUNCATE, None, None, last=True, origin=Origin.OPENING)
    for round_, rows in enumerate((5, 2)):
        for i, (table, work) in enumerate(zip(KEYED, replica.works.values(), strict=True)):
            read = [Event(Op.READ, None, (b"%d" % key, None), last=True) for key in range(rows + i)]
            changed = Event(Op.UPDATE, None, (b"0", b"%d" % round_), last=True)
            replica.take_in(work, table, [opening, *read, changed])
        replica.loop.turn(0)
    replica.insert(10)

    found = replica.look.run(
        'SELECT "table", topic, state, columns, made_by_ferryman, inserts, updates, deletes, snapshot_rows, '
        "reference_rows FROM ferryman.table_state ORDER BY 1"
    ).fetchall()
    moved = replica.look.run(
        "SELECT topic, topic_id, next_offset, order_key, leader_epoch, epoch, owner, committed_us "
        "FROM ferryman.checkpoint ORDER BY 1"
    ).fetchall()
    replica.look.commit()
    assert found == [
        (f"public.{name}", f"p.public.{name}", "loading", ["id", "v"], True, 1, 2, 0, 2 + i, 12 + 2 * i)
        for i, name in enumerate(NAMES)
    ]
    assert moved == [
        (work.place.topic, "id", 12 + 2 * i, work.partition.mark, None, 1, "one", 0)
        for i, work in enumerate(replica.works.values())
    ]


@pytest.mark.parametrize(
    ("fault", "mended"),
    [
        ("ALTER TABLE public.b ADD CONSTRAINT few CHECK (id < 2)", "ALTER TABLE public.b DROP CONSTRAINT few"),
        ("REVOKE INSERT ON public.b FROM CURRENT_USER", "GRANT INSERT ON public.b TO CURRENT_USER"),
    ],
)
def test_a_table_that_cannot_be_written_stops_alone(replica: Replica, fault: str, mended: str) -> None:
    replica.insert(1)
    replica.alter(fault)
    replica.insert(2)
    replica.insert(3)
    blocked = [work.blocked for work in replica.works.values()]

    replica.alter(mended)
    replica.read_again("b", 2, 3)

    assert blocked == [False, True, False]
    assert [replica.rows(name) for name in NAMES] == [[1, 2, 3]] * 3


def test_a_table_that_another_replica_took_is_written_by_that_one_alone(replica: Replica) -> None:
    replica.insert(1)
    replica.take_over("two", "b")
    replica.insert(2)

    assert replica.fenced == ["public.b"]
    assert [replica.rows(name) for name in NAMES] == [[1, 2], [1], [1, 2]]
