"""When is a pipeline caught up? The conditions against a pipeline in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres.operations import PostgresMark
from operate import following
from operate.applied import Applied, AppliedTable, Checkpoint
from operate.following import follow
from operate.waiting import Ask, Waiter
from runtime.errors import Refused, Unreachable
from schemas.positions import Phase, Positions, StreamRecord, TableRecord

LOADED = "aa" * 28


def stream(lsn: int = 100, control_offset: int = 8, state: str = "running") -> StreamRecord:
    return StreamRecord(
        run=1, source="s", incarnation=1, resume={"lsn": lsn}, identity={}, reached={"lsn": lsn},
        control_offset=control_offset, state=state,
    )  # fmt: skip


def table(name: str = "public.t", **fields) -> TableRecord:
    given = {"run": 1, "table": name, "topic": f"shop.{name}", "phase": Phase.STREAMING, "loaded": LOADED}
    return TableRecord(**(given | fields))


PATIENCE_S = 30.0


class Pipeline:
    """A pipeline that is caught up, until a test makes it otherwise."""

    patience_s = PATIENCE_S

    def __init__(self, *tables: TableRecord) -> None:
        self.now = 0.0
        self.standing = Positions(1, stream(), {t.table: t for t in tables or (table(),)})
        self.end = dict.fromkeys(self.places(), 10)
        self.next = dict(self.end)
        self.states: dict[str, AppliedTable] = {}
        self.order_key: bytes | None = bytes.fromhex(LOADED)
        self.ends_taken = 0

    def places(self) -> list[tuple[str, int]]:
        return [(t.topic, p) for t in self.standing.tables.values() for p in range(t.partitions)]

    def change(self, name: str = "public.t", **fields) -> None:
        self.standing.tables[name] = replace(self.standing.tables[name], **fields)

    def halt(self, state: str, name: str = "public.t", reason: str | None = "it broke") -> None:
        self.states[name] = AppliedTable(name, f"shop.{name}", state, reason, "mend it")

    def positions(self) -> Positions:
        return self.standing

    def applied(self) -> Applied:
        marks = {p: Checkpoint(*p, "id", offset, self.order_key) for p, offset in self.next.items()}
        return Applied(marks, dict(self.states))

    def ends(self, positions, tables):
        self.ends_taken += 1
        wanted = {t.topic for t in positions.tables.values() if tables is None or t.table in tables}
        return {p: end for p, end in self.end.items() if p[0] in wanted}

    def clock(self) -> float:
        return self.now


ASK = Ask(control_offset=7, mark=PostgresMark(100))


def test_a_pipeline_that_has_everything_is_caught_up():
    assert Waiter(Pipeline(), ASK).look().done


def test_a_pipeline_without_tables_is_caught_up():
    world = Pipeline()
    world.standing.tables.clear()

    assert Waiter(world, ASK).look().done


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda w: setattr(w.standing, "stream", None), "capture has not started"),
        (lambda w: setattr(w.standing, "stream", stream(control_offset=7)), "capture has not answered"),
        (lambda w: setattr(w.standing, "stream", stream(control_offset=7, state="stopped")), "it is stopped"),
        (lambda w: setattr(w.standing, "stream", stream(lsn=99)), "1 bytes of log"),
        (lambda w: w.change(phase=Phase.PENDING), "still being copied: public.t"),
        (lambda w: w.change(phase=Phase.SNAPSHOTTING), "still being copied: public.t"),
        (lambda w: w.next.update({("shop.public.t", 0): 9}), "1 events to apply from shop.public.t"),
        (lambda w: w.next.clear(), "10 events to apply from shop.public.t; apply has not begun"),
    ],
)
def test_whatever_is_missing_is_named_and_waited_for(spoil, reason):
    world = Pipeline()
    spoil(world)

    verdict = Waiter(world, ASK).look()

    assert (verdict.done, verdict.failed) == (False, False)
    assert reason in verdict.reason


def test_every_partition_of_every_table_must_be_applied():
    world = Pipeline(table("public.a"), table("public.b", partitions=3))
    world.next["shop.public.b", 2] = 9

    assert not Waiter(world, ASK).look().done

    world.next["shop.public.b", 2] = 10

    assert Waiter(world, ASK).look().done


def test_the_ends_are_taken_once_so_that_a_busy_source_does_not_make_the_wait_endless():
    world = Pipeline()
    world.next["shop.public.t", 0] = 5
    waiter = Waiter(world, ASK)
    assert not waiter.look().done

    world.end["shop.public.t", 0], world.next["shop.public.t", 0] = 1_000, 10

    assert waiter.look().done
    assert world.ends_taken == 1


def test_the_ends_are_not_taken_before_the_log_is_published_up_to_the_mark():
    world = Pipeline()
    world.standing.stream = stream(lsn=50)
    waiter = Waiter(world, ASK)
    waiter.look()
    assert world.ends_taken == 0

    world.standing.stream = stream(lsn=100)
    world.end["shop.public.t", 0] = 11

    assert not waiter.look().done


@pytest.mark.parametrize("phase", [Phase.BLOCKED, Phase.NEEDS_RESYNC])
def test_a_table_that_capture_has_halted_ends_the_wait_with_its_reason_and_fix(phase):
    world = Pipeline()
    world.change(phase=phase, reason="no identity", fix="ALTER TABLE")

    verdict = Waiter(world, ASK).look()

    assert verdict.failed
    assert "no identity" in verdict.reason
    assert verdict.fix == "ALTER TABLE"


@pytest.mark.parametrize("state", ["blocked", "needs_resync", "diverged"])
@pytest.mark.parametrize("phase", [Phase.STREAMING, Phase.SNAPSHOTTING])
def test_a_table_that_apply_has_halted_ends_the_wait(state, phase):
    world = Pipeline()
    world.change(phase=phase)
    world.halt(state)

    assert Waiter(world, ASK).look().failed


def test_a_halt_from_before_the_new_copy_is_waited_out():
    world = Pipeline()
    world.change(generation=2)
    world.halt("needs_resync")
    world.order_key = b"\x01" * 28
    world.next["shop.public.t", 0] = 3
    waiter = Waiter(world, ASK)
    assert not waiter.look().failed

    world.states.clear()
    world.next["shop.public.t", 0] = 10

    assert waiter.look().done


def test_a_halt_of_the_new_copy_counts_once_nothing_moves_any_more():
    world = Pipeline()
    world.change(generation=2)
    world.halt("blocked")
    world.order_key = None
    waiter = Waiter(world, ASK)
    world.next["shop.public.t", 0] = 3
    waiter.look()
    world.now = PATIENCE_S - 1
    world.next["shop.public.t", 0] = 4
    assert not waiter.look().failed
    world.now += PATIENCE_S - 1
    assert not waiter.look().failed
    world.now += 1

    assert waiter.look().failed


def test_a_halt_after_the_new_copy_counts_at_once():
    world = Pipeline()
    world.change(generation=2)
    world.halt("needs_resync")

    assert Waiter(world, ASK).look().failed


def test_only_the_tables_that_are_asked_for_count():
    world = Pipeline(table("public.a"), table("public.b", phase=Phase.BLOCKED))
    world.next["shop.public.b", 0] = 0
    world.halt("blocked", "public.b")

    assert Waiter(world, replace(ASK, tables=frozenset({"public.a"}))).look().done


def test_halts_count_only_once_the_request_is_obeyed():
    world = Pipeline()
    world.standing.stream = stream(control_offset=3)
    world.change(phase=Phase.NEEDS_RESYNC)

    assert not Waiter(world, ASK).look().failed


@given(
    lsn=st.integers(90, 110), obeyed=st.integers(5, 10), phase=st.sampled_from([Phase.PENDING, Phase.STREAMING]),
    applied=st.integers(0, 20),
)  # fmt: skip
def test_done_means_that_every_condition_holds(lsn, obeyed, phase, applied):
    world = Pipeline()
    world.standing.stream = stream(lsn, obeyed)
    world.change(phase=phase)
    world.next["shop.public.t", 0] = applied

    done = Waiter(world, ASK).look().done

    assert done == (lsn >= 100 and obeyed > 7 and phase is Phase.STREAMING and applied >= 10)


class Flaky(Pipeline):
    """A pipeline that answers some of the looks with an error; each look takes a second."""

    def __init__(self, *answers: Exception | None) -> None:
        super().__init__()
        self.answers, self.looks = answers, 0

    def positions(self) -> Positions:
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        if answer is not None:
            raise answer
        return super().positions()


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let pauses pass at once; the list holds what the clock shows."""
    now = [0.0]
    monkeypatch.setattr(following.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(following.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    return now


AWAY = Unreachable("gone", "host:1")


def test_an_outage_in_the_middle_is_waited_out(seconds):
    world = Flaky(None, AWAY, AWAY, None)
    world.next["shop.public.t", 0] = 9

    def heal(_verdict) -> None:
        world.next["shop.public.t", 0] = 10

    assert follow(world, ASK, 60, heal).done
    assert world.looks == 4


def test_an_outage_from_the_beginning_or_to_the_end_is_an_error(seconds):
    with pytest.raises(Unreachable):
        follow(Flaky(AWAY, None), ASK, 60)

    lost = Flaky(None, AWAY)
    lost.next.clear()
    with pytest.raises(Unreachable):
        follow(lost, ASK, 60)


def test_a_refusal_is_never_waited_out(seconds):
    refused = Flaky(None, Refused("no", "host:1"), None)
    refused.next.clear()

    with pytest.raises(Refused):
        follow(refused, ASK, 60)


def test_the_time_given_is_kept_and_the_last_word_tells_what_is_missing(seconds):
    world = Pipeline()
    world.next.clear()

    verdict = follow(world, ASK, 5)

    assert (verdict.done, verdict.failed) == (False, False)
    assert "events to apply" in verdict.reason
    assert 5 <= seconds[0] < 6


def test_no_time_at_all_is_still_one_look(seconds):
    assert follow(Pipeline(), ASK, 0).done
