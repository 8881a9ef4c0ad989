"""Repairing rows of a real target, with apply played by hand."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from apply import control
from apply.session import Session
from operate.validate import catalog
from operate.validate.repair import CannotRepair, Checkpoints, Repair
from operate.validate.shape import plan
from operate.validate.side import PostgresSide
from operate.validate.table import Comparison
from tests.support.crews import crew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.live

PLACE = ("shop", "shop.public.t")
#: How long a repair waits for apply, in seconds.
LOCK_S = 60.0
LOCK = "SELECT FROM ferryman.checkpoint FOR UPDATE"


class Way:
    """The way to the target: each wait is an occasion for something to happen."""

    stuck = None

    def __init__(self) -> None:
        self.happenings: list[Callable[[], object]] = []

    def catch_up(self) -> bool:
        if self.happenings:
            self.happenings.pop(0)()
        return self.stuck is None


class Ends:
    """A source and a target with control tables."""

    def __init__(self, source: str, target: str) -> None:
        self.urls, self.way = (source, target), Way()
        self.source, self.target = (psycopg.connect(url, autocommit=True) for url in (source, target))
        session = Session(lambda: psycopg.connect(target))
        control.create(session)
        session.close()
        self.target.execute(
            "INSERT INTO ferryman.checkpoint (pipeline, topic, partition, topic_id, next_offset, epoch, owner) "
            "VALUES ('shop', 'shop.public.t', 0, 'x', 7, 1, 'test')"
        )

    def both(self, *statements: str) -> None:
        for statement in statements:
            self.source.execute(statement)
            self.target.execute(statement)

    def repair(self, during: list[Callable[[], object]] = (), partitions: int = 1, lock_s: float = LOCK_S) -> int:
        """Compare, then repair what was found; ``during`` happens while the repair waits for the pipeline."""
        found: list = []
        with crew(*self.urls, 1) as pairs:
            shapes = [catalog.shape(end.connection, "public", "t") for end in (pairs.source, pairs.target)]
            how = plan(*shapes, keyless=False, same_hash=True)
            Comparison(how, pairs, Way(), found=found.extend).run()
            self.way.happenings = list(during)
            with psycopg.connect(self.urls[1]) as writer, psycopg.connect(self.urls[0], autocommit=True) as reader:
                one = Repair(
                    how,
                    PostgresSide(reader, how, how.source),
                    writer,
                    self.way,
                    Checkpoints(*PLACE, partitions),
                    lock_s,
                )
                return one.run([finding.id for finding in found])

    def rows(self, columns: str = "*") -> tuple[list, list]:
        ours, theirs = (
            c.execute(f"SELECT {columns} FROM t ORDER BY 1, 2").fetchall() for c in (self.source, self.target)
        )
        return ours, theirs


@pytest.fixture
def ends(source_db: str, target_db: str) -> Iterator[Ends]:
    made = Ends(source_db, target_db)
    with made.source, made.target:
        yield made


def test_missing_extra_and_different_rows_become_those_of_the_source(ends: Ends) -> None:
    ends.source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    ends.target.execute("CREATE TABLE t (id int PRIMARY KEY, v text, loaded text DEFAULT 'here')")
    ends.both("INSERT INTO t (id, v) SELECT g, g FROM generate_series(1, 3000) g")
    ends.target.execute("UPDATE t SET loaded = 'before'")
    ends.target.execute("DELETE FROM t WHERE id BETWEEN 10 AND 1500")
    ends.target.execute(r"UPDATE t SET v = E'a\tb\\' WHERE id = 2000")
    ends.source.execute(r"UPDATE t SET v = E'\\N\n\\' WHERE id = 2001")
    ends.source.execute("UPDATE t SET v = NULL WHERE id = 2002")
    ends.target.execute("INSERT INTO t VALUES (0, ''), (9999, NULL)")

    assert ends.repair() == 1_491 + 3 + 2

    ours, theirs = ends.rows("id, v")
    assert theirs == ours
    own = ends.target.execute("SELECT loaded, count(*) FROM t GROUP BY 1 ORDER BY 1").fetchall()
    assert own == [("before", 3_000 - 1_491), ("here", 1_491)]
    assert ends.repair() == 0


def test_duplicates_without_a_key_become_as_many_as_at_the_source(ends: Ends) -> None:
    ends.both("CREATE TABLE t (a int, b text)", "INSERT INTO t SELECT g % 3, NULL FROM generate_series(1, 30) g")
    ends.target.execute("DELETE FROM t WHERE ctid = ANY (ARRAY(SELECT ctid FROM t WHERE a = 1 LIMIT 4))")
    ends.target.execute("INSERT INTO t VALUES (2, NULL), (2, NULL), (7, 'x')")

    assert ends.repair() == 3

    ours, theirs = ends.rows()
    assert theirs == ours


def test_identity_columns_that_update_may_not_set_are_repaired_too(ends: Ends) -> None:
    ends.source.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    ends.target.execute("CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY)")
    ends.source.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
    ends.target.execute("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 11)")

    assert ends.repair() == 2

    ours, theirs = ends.rows()
    assert theirs == ours


def test_a_row_that_is_written_meanwhile_is_left_to_apply(ends: Ends) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    ends.target.execute("UPDATE t SET v = 0 WHERE id = 1")
    seen = []

    def written() -> None:
        ends.source.execute("UPDATE t SET v = 5 WHERE id = 1")

    def applied() -> None:
        seen.append(ends.rows()[1])
        ends.target.execute("UPDATE t SET v = 5 WHERE id = 1")

    assert ends.repair([written, applied]) == 0

    assert seen == [[(1, 0), (2, 2)]], "a value was written that an event was still to bring"
    assert ends.rows()[1] == [(1, 5), (2, 2)]


def test_rows_that_come_and_go_meanwhile_are_not_taken_for_extra_ones(ends: Ends) -> None:
    ends.both("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 1), (1, 1)")
    ends.target.execute("INSERT INTO t VALUES (1, 1)")
    counts = []

    def an_insert_arrives_whose_delete_does_not_yet() -> None:
        ends.target.execute("INSERT INTO t VALUES (1, 1)")

    def the_delete_arrives() -> None:
        counts.append(len(ends.rows()[1]))
        ends.target.execute("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)")

    assert ends.repair([an_insert_arrives_whose_delete_does_not_yet, the_delete_arrives]) == 1

    assert counts == [4], "the row was deleted, and its own delete would have taken another one"
    assert ends.rows()[1] == [(1, 1), (1, 1)]


def test_a_key_that_comes_and_goes_meanwhile_is_left_to_apply(ends: Ends) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    ends.target.execute("INSERT INTO t VALUES (3, 0)")

    def it_is_deleted_and_inserted_and_its_next_delete_is_on_its_way() -> None:
        ends.target.execute("DELETE FROM t WHERE id = 3")
        ends.target.execute("INSERT INTO t VALUES (3, 1)")

    def the_delete_arrives() -> None:
        ends.target.execute("DELETE FROM t WHERE id = 3 AND v = 1")

    assert ends.repair([it_is_deleted_and_inserted_and_its_next_delete_is_on_its_way, the_delete_arrives]) == 0

    assert ends.rows()[1] == [(1, 1)]


def test_a_repair_waits_for_the_transaction_that_apply_has_open(ends: Ends) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    ends.target.execute("DELETE FROM t")
    applying = psycopg.connect(ends.urls[1])

    def begin() -> None:
        applying.execute(LOCK)
        applying.execute("INSERT INTO t VALUES (1, 1)")
        threading.Thread(target=commit_once_somebody_waits).start()

    def commit_once_somebody_waits() -> None:
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())"
        with applying, psycopg.connect(ends.urls[1], autocommit=True) as looker:
            while looker.execute(waiting).fetchone() != (True,):
                time.sleep(0.01)

    assert ends.repair([begin]) == 0

    assert ends.rows()[1] == [(1, 1)]


def test_apply_waits_while_rows_are_being_repaired(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    ends.target.execute("DELETE FROM t")
    refused = []

    def try_to_apply() -> None:
        with psycopg.connect(ends.urls[1]) as applying:
            applying.execute("SET lock_timeout = '50ms'")
            try:
                applying.execute(LOCK)
            except psycopg.errors.LockNotAvailable:
                refused.append(True)

    original = Repair._write

    def write_and_look(self, *arguments) -> None:
        original(self, *arguments)
        try_to_apply()

    monkeypatch.setattr(Repair, "_write", write_and_look)
    assert ends.repair() == 1

    assert refused == [True]


def test_what_the_target_cannot_store_undoes_the_repair(ends: Ends) -> None:
    ends.source.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric)")
    ends.target.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(9, 1))")
    ends.source.execute("INSERT INTO t VALUES (1, 1.25), (2, 2.5)")

    with pytest.raises(CannotRepair, match="does not store"):
        ends.repair()

    assert ends.rows()[1] == []


@pytest.mark.parametrize("partitions", [1, 2])
def test_without_every_checkpoint_nothing_is_touched(ends: Ends, partitions: int) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)")
    ends.source.execute("INSERT INTO t VALUES (1, 1)")
    if partitions == 1:
        ends.target.execute("DELETE FROM ferryman.checkpoint")

    with pytest.raises(CannotRepair, match="no checkpoint"):
        ends.repair(partitions=partitions)

    assert ends.rows()[1] == []


def test_a_transaction_of_apply_that_lasts_is_not_waited_for_longer_than_the_setting_says(ends: Ends) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)")
    ends.source.execute("INSERT INTO t VALUES (1, 1)")

    with psycopg.connect(ends.urls[1]) as busy:
        busy.execute(LOCK)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ends.repair(lock_s=0.1)

    assert ends.rows()[1] == []


def test_a_target_that_does_not_catch_up_is_not_touched(ends: Ends) -> None:
    ends.both("CREATE TABLE t (id int PRIMARY KEY, v int)")
    ends.source.execute("INSERT INTO t VALUES (1, 1)")
    ends.way.stuck = "apply is stopped"

    with pytest.raises(CannotRepair, match="apply is stopped"):
        ends.repair()

    assert ends.rows()[1] == []
