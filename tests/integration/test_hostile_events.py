"""Hostile messages in a table's topic: it stops with the reason, at the message; nothing is written, nobody else waits."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from runtime import config
from schemas.block import UNSENT, Op
from schemas.codec import Message
from tests.support.apply_feed import Feed, Target, applying, pipeline_file
from tests.support.hostile import UNREADABLE, fuzzed
from tests.unit.apply.histories import table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

SECRET = "xyzzy"


@pytest.fixture
def pipeline(tmp_path: Path, pipeline_name: str, kafka: str, target_db: str) -> config.Pipeline:
    return config.load(pipeline_file(tmp_path, pipeline_name, kafka, target_db), {"kafka", "target"})


@pytest.fixture
def target(pipeline: config.Pipeline, target_db: str) -> Target:
    return Target(target_db, pipeline.pipeline)


def row(key: int) -> tuple:
    return (b"%d" % key, SECRET.encode(), b"b")


def insert(key: int) -> tuple:
    return (Op.CREATE, None, row(key))


def states(target: Target) -> dict[str, tuple[str, str | None, str | None]]:
    found = target.connection.execute('SELECT "table", state, reason, fix FROM ferryman.table_state').fetchall()
    return {name: (state, reason, fix) for name, state, reason, fix in found}


def of_one_run(feeds: list[Feed]) -> list[Feed]:
    """Let tables belong to one run of capture: what an older run says of its tables is void."""
    for feed in feeds:
        feed.run = feeds[-1].run
    return feeds


def sent(feed: Feed, value: bytes | None) -> None:
    feed.send([Message(b"", value, [])])


def test_a_message_that_is_no_event_of_its_table_stops_the_table_alone_and_a_new_snapshot_frees_it(
    pipeline: config.Pipeline, target: Target
) -> None:
    kinds = [*UNREADABLE, "foreign"]
    good, *others = of_one_run(
        [Feed(pipeline, replace(table(), name=n)) for n in ("good", *(f"t{i}" for i in range(len(kinds))))]
    )
    feeds = dict(zip(kinds, others, strict=True))
    good.load(row(1))
    foreign = good.transaction((Op.DELETE, (b"1", UNSENT, UNSENT), None))[0].value
    for kind, feed in feeds.items():
        feed.load(row(1))
        feed.send(feed.transaction(insert(2)))
        value = feed.transaction(insert(3))[0].value
        assert value is not None
        sent(feed, foreign if kind == "foreign" else UNREADABLE[kind](value))
        feed.send(feed.transaction(insert(4)))
    with applying(pipeline, "one"):
        target.wait(lambda: sum(s[0] == "blocked" for s in states(target).values()) == len(feeds))
        good.send(good.transaction(insert(2)))
        target.wait(lambda: len(target.rows("public.good")) == 2)
        stopped = states(target)
        for kind, feed in feeds.items():
            _, reason, fix = stopped[feed.name]
            assert reason, kind
            assert fix, kind
            assert SECRET not in reason
            assert [r[0] for r in target.rows(feed.name)] == [1, 2], kind
            feed.say()
            feed.load(row(7), row(8))
        target.wait(lambda: all(s[0] == "streaming" for s in states(target).values()))
    for kind, feed in feeds.items():
        assert [r[0] for r in target.rows(feed.name)] == [7, 8], kind
    assert [r[0] for r in target.rows("public.good")] == [1, 2]


def test_tombstones_alone_say_nothing(pipeline: config.Pipeline, target: Target) -> None:
    feed = Feed(pipeline, table())
    feed.load(row(1))
    for _ in range(3):
        sent(feed, None)
    feed.send(feed.transaction(insert(2)))
    with applying(pipeline, "one"):
        target.wait(target.reached(feed.end()))
    assert [r[0] for r in target.rows()] == [1, 2]


@pytest.mark.parametrize("messages", [60, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(0)])])
def test_fuzzed_messages_end_no_daemon_touch_no_other_table_and_a_new_snapshot_is_exact(
    pipeline: config.Pipeline, target: Target, messages: int
) -> None:
    """In rounds: damaged events of one table between good ones, another table going on, then a new snapshot."""
    random, at_once = Random(f"fuzz:{messages}"), 20 if messages < 1_000 else 250
    victim, good = of_one_run([Feed(pipeline, table()), Feed(pipeline, replace(table(), name="good"))])
    victim.load(row(1))
    good.load(row(1))
    with applying(pipeline, "one") as applier:
        for round_ in range(messages // at_once):
            for _ in range(at_once):
                changes = [insert(random.randrange(2, 50)), (Op.UPDATE, None, (b"1", b"s", UNSENT))]
                value = victim.transaction(random.choice(changes))[0].value
                assert value is not None
                sent(victim, fuzzed(value, random))
            good.send(good.transaction(insert(round_ + 2)))
            target.wait(lambda n=round_: len(target.rows("public.good")) == n + 2)
            victim.say()
            victim.load(row(round_), row(-1))
            end = victim.end()
            target.wait(lambda n=round_, end=end: fresh(target, n, end))
            assert applier.error is None
    assert [r[0] for r in target.rows("public.good")] == list(range(1, messages // at_once + 2))


def fresh(target: Target, round_: int, end: int) -> bool:
    """Whether the new snapshot of a round, and nothing else, is in the victim's table."""
    offsets = dict(target.connection.execute("SELECT topic, next_offset FROM ferryman.checkpoint").fetchall())
    reached = any(topic.endswith(".t") and offset >= end for topic, offset in offsets.items())
    return reached and states(target)["public.t"][0] == "streaming" and {r[0] for r in target.rows()} == {round_, -1}
