"""Events in a real topic reach a real target: once, whole transactions at a time, and after any interruption."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runtime import config
from schemas.block import UNSENT, Op
from schemas.codec import Message
from schemas.table import Column
from tests.support.apply_feed import Feed, Target, applying, having, pipeline_file
from tests.unit.apply.histories import table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture
def pipeline(tmp_path: Path, pipeline_name: str, kafka: str, target_db: str) -> config.Pipeline:
    return config.load(pipeline_file(tmp_path, pipeline_name, kafka, target_db), {"kafka", "target"})


@pytest.fixture
def target(pipeline: config.Pipeline, target_db: str) -> Target:
    return Target(target_db, pipeline.pipeline)


def insert(key: int, small: str = "s", big: str = "b") -> tuple:
    return (Op.CREATE, None, row(key, small, big))


def row(key: int, small: str = "s", big: str = "b") -> tuple:
    return (b"%d" % key, small.encode(), big.encode())


def test_a_snapshot_and_the_changes_after_it_reach_the_target(pipeline: config.Pipeline, target: Target) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1), row(2), row(3))
    old = (b"2", UNSENT, UNSENT)
    feed.send(feed.transaction(insert(4), (Op.UPDATE, None, (b"1", b"x", UNSENT)), (Op.DELETE, old, None)))
    feed.send(feed.transaction((Op.UPDATE, (b"3", UNSENT, UNSENT), (b"5", b"moved", UNSENT))))

    with applying(pipeline):
        target.wait(target.reached(feed.end()))

    assert target.rows() == [(1, "x", "b"), (4, "s", "b"), (5, "moved", "b")]
    state = target.state()
    assert (state["state"], state["made_by_ferryman"]) == ("streaming", True)
    assert [state[n] for n in ("inserts", "updates", "deletes", "snapshot_rows")] == [1, 2, 1, 3]


def test_a_transaction_is_invisible_until_its_end_mark(pipeline: config.Pipeline, target: Target) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    begin = feed.transaction(*(insert(i) for i in range(2, 50)), open_end=True)
    with applying(having(pipeline, batch_rows=10)):
        target.wait(target.reached(feed.end()))
        feed.send(begin)
        target.wait(lambda: open_transactions(target) == 1)
        assert len(target.rows()) == 1
        feed.position -= 1
        whole = feed.transaction(*(insert(i) for i in range(2, 60)))
        feed.send(whole)  # capture died and publishes all of it again
        target.wait(target.reached(feed.end()))

    assert [r[0] for r in target.rows()] == list(range(1, 60))
    assert target.state()["inserts"] == 58


def open_transactions(target: Target) -> int:
    found = target.connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'idle in transaction'",
        [f"ferryman apply {target.pipeline}"],
    )
    return found.fetchone()[0]


def test_a_blocked_table_keeps_what_came_before_and_goes_on_when_the_cause_is_gone(
    pipeline: config.Pipeline, target: Target
) -> None:
    feed = Feed(pipeline, table())
    target.connection.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, small text CONSTRAINT short CHECK (length(small) < 5), big text)"
    )
    feed.load()
    for i in range(1, 40):
        feed.send(feed.transaction(insert(i, "far too long" if i == 30 else "s")))

    with applying(pipeline):
        target.wait(lambda: (target.state() or {}).get("state") == "blocked")
        blocked = target.state()
        before = [r[0] for r in target.rows()]
        target.connection.execute("ALTER TABLE public.t DROP CONSTRAINT short")
        target.wait(target.reached(feed.end()))

    assert before == list(range(1, 30))
    assert "23514" in blocked["reason"]
    assert "short" in blocked["reason"]
    assert "far too long" not in blocked["reason"]
    assert "constraint" in blocked["fix"]
    assert [r[0] for r in target.rows()] == list(range(1, 40))
    assert (target.state()["state"], target.state()["reason"]) == ("streaming", None)


def test_a_table_that_is_blocked_does_not_hold_up_another(
    pipeline: config.Pipeline, target: Target, target_db: str
) -> None:
    bad, good = Feed(pipeline, table()), Feed(pipeline, replace(table(), name="good"))
    target.connection.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, small varchar(1) CHECK (small = 's'), big text)"
    )
    bad.load(row(1, "x"))
    good.load(row(1, "x"))

    with applying(pipeline):
        target.wait(lambda: states(target).get("public.t") == "blocked")
        good.send(good.transaction(insert(2)))
        target.wait(lambda: len(target.rows("public.good")) == 2)

    assert target.rows() == []


def states(target: Target) -> dict[str, str]:
    return dict(target.connection.execute('SELECT "table", state FROM ferryman.table_state').fetchall())


def test_an_event_that_cannot_be_read_blocks_its_table_after_all_before_it(
    pipeline: config.Pipeline, target: Target
) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    feed.send(feed.transaction(insert(2)))
    feed.send([Message(b"", b"not an event", [])])
    feed.send(feed.transaction(insert(3)))

    with applying(pipeline):
        target.wait(lambda: (target.state() or {}).get("state") == "blocked")

    assert [r[0] for r in target.rows()] == [1, 2]
    assert "framed" in target.state()["reason"]
    assert target.checkpoint()["next_offset"] == feed.end() - 2


def test_events_lost_to_retention_make_the_table_wait_for_a_new_snapshot(
    pipeline: config.Pipeline, target: Target
) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    with applying(pipeline):
        target.wait(target.reached(feed.end()))
    for i in range(2, 6):
        feed.send(feed.transaction(insert(i)))
    feed.delete_before(4)

    with applying(pipeline):
        target.wait(lambda: target.state()["state"] == "needs_resync")
        assert "offsets 2 to 3" in target.state()["reason"]
        assert target.checkpoint()["next_offset"] == 2
    with applying(pipeline):
        feed.say()
        feed.load(row(7), row(8))
        target.wait(target.reached(feed.end()))
        target.wait(lambda: target.state()["state"] == "streaming")

    assert [r[0] for r in target.rows()] == [7, 8]


def test_a_topic_made_anew_is_not_taken_for_the_old_one(pipeline: config.Pipeline, target: Target) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    with applying(pipeline):
        target.wait(target.reached(feed.end()))
    feed.delete_topic()
    feed.create_topic()
    for i in range(2, 9):
        feed.send(feed.transaction(insert(i)))

    with applying(pipeline):
        target.wait(lambda: target.state()["state"] == "needs_resync")
        assert "made anew" in target.state()["reason"]
        feed.say()
        feed.load(row(9))
        target.wait(lambda: target.state()["state"] == "streaming")

    assert [r[0] for r in target.rows()] == [9]


def test_a_topic_that_is_deleted_and_made_anew_meanwhile_is_noticed(pipeline: config.Pipeline, target: Target) -> None:
    pipeline = having(pipeline, look_seconds=0.2)
    feed = Feed(pipeline, table())
    feed.load(row(1))
    with applying(pipeline):
        target.wait(target.reached(feed.end()))
        feed.delete_topic()
        target.wait(lambda: target.state()["state"] == "needs_resync")
        assert "does not exist any more" in target.state()["reason"]
        feed.create_topic()
        for i in range(2, 9):
            feed.send(feed.transaction(insert(i)))
        target.wait(lambda: "made anew" in (target.state()["reason"] or ""))
        feed.say()
        feed.load(row(9))
        target.wait(lambda: target.state()["state"] == "streaming")

    assert [r[0] for r in target.rows()] == [9]


def test_partitions_that_somebody_adds_to_a_topic_change_nothing(pipeline: config.Pipeline, target: Target) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    with applying(pipeline):
        target.wait(target.reached(feed.end()))
        feed.add_partitions(3)
        feed.send(feed.transaction(insert(2)))
        target.wait(target.reached(feed.end()))
    with applying(pipeline):  # a member that comes anew is given all partitions that there are by then
        feed.send(feed.transaction(insert(3)))
        target.wait(target.reached(feed.end()))
    assert [r[0] for r in target.rows()] == [1, 2, 3]

    feed.delete_topic()
    feed.create_topic(3)
    with applying(pipeline):
        target.wait(lambda: target.state()["state"] == "needs_resync")
        feed.say()
        feed.load(row(9))
        target.wait(lambda: target.state()["state"] == "streaming")
    with applying(pipeline):
        feed.send(feed.transaction(insert(10)))
        target.wait(lambda: len(target.rows()) == 2)

    assert [r[0] for r in target.rows()] == [9, 10]
    assert target.state()["state"] == "streaming"
    assert target.connection.execute("SELECT partition FROM ferryman.checkpoint").fetchall() == [(0,)]


def test_two_replicas_share_the_tables_and_one_takes_over_from_the_other(
    pipeline: config.Pipeline, target: Target
) -> None:
    feeds = [Feed(pipeline, replace(table(), name=f"t{i}")) for i in range(4)]
    for feed in feeds:
        feed.load(row(1))
    with applying(pipeline, "a"):
        with applying(pipeline, "b"):
            target.wait(lambda: len(owners(target)) == 2 and len(states(target)) == 4)
            for feed in feeds:
                feed.send(feed.transaction(insert(2)))
            target.wait(lambda: all(len(target.rows(f"public.t{i}")) == 2 for i in range(4)))
        for feed in feeds:
            feed.send(feed.transaction(insert(3)))
        target.wait(lambda: all(len(target.rows(f"public.t{i}")) == 3 for i in range(4)))
        assert owners(target) == {"a"}


def owners(target: Target) -> set[str]:
    rows = target.connection.execute("SELECT owner FROM ferryman.checkpoint").fetchall()
    return {owner.split("/")[0] for (owner,) in rows}


def test_the_target_may_be_away_for_a_while(pipeline: config.Pipeline, target: Target, target_db: str) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    with applying(pipeline):
        target.wait(target.reached(feed.end()))
        for i in range(2, 30):
            feed.send(feed.transaction(insert(i)))
            target.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                [f"ferryman apply {pipeline.pipeline}"],
            )
        target.wait(target.reached(feed.end()))

    assert [r[0] for r in target.rows()] == list(range(1, 30))
    assert target.state()["inserts"] == 28


@pytest.mark.parametrize("cause", ["unreadable", "refused"])
def test_a_new_snapshot_frees_a_blocked_table(pipeline: config.Pipeline, target: Target, cause: str) -> None:
    target.connection.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, small varchar(3) CHECK (small <> 'bad'), big text)"
    )
    feed = Feed(pipeline, replace(table(), columns=(table().columns[0], short(table().columns[1]), table().columns[2])))
    feed.load(row(1))
    feed.send([Message(b"", b"not an event", [])] if cause == "unreadable" else feed.transaction(insert(2, "bad")))
    feed.send(feed.transaction(insert(3)))

    with applying(pipeline):
        target.wait(lambda: (target.state() or {}).get("state") == "blocked")
        assert [r[0] for r in target.rows()] == [1]
        feed.say()
        feed.load(row(5), row(6))
        feed.send(feed.transaction(insert(7)))
        target.wait(target.reached(feed.end()))

    assert [r[0] for r in target.rows()] == [5, 6, 7]
    assert target.state()["reason"] is None


def short(column: Column) -> Column:
    return replace(column, target_type="character varying(3)")
