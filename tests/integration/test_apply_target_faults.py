"""What can befall the target: each table says why it stands still, goes on by itself, and no other one waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from schemas.block import UNSENT, Op
from schemas.table import Column
from tests.support.apply_lanes import Lane, Lanes, insert, open_lanes
from tests.support.daemons_pipeline import until
from tests.support.databases import fresh_database
from tests.unit.apply.histories import TEXT, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.apply_feed import Change

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def lanes(kafka: str, target_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    with fresh_database(target_server, "target") as url:
        name = url.rpartition("/")[2].replace("target", "faults")
        folder = tmp_path_factory.mktemp("faults")
        with open_lanes(folder, name, kafka, url, lock_timeout_seconds=0.6) as made:
            yield made


@pytest.fixture(scope="module")
def bystander(lanes: Lanes) -> Lane:
    return lanes.lane("bystander")


@pytest.fixture(scope="module")
def lane(lanes: Lanes) -> Lane:
    """A table that several tests share: they leave it well, with the rows that were sent."""
    made = lanes.lane("shared")
    made.goes_on()
    return made


def update(key: int, small: bytes) -> Change:
    return Op.UPDATE, None, (b"%d" % key, small, UNSENT)


def test_a_deadlock_is_tried_again(lanes: Lanes, lane: Lane) -> None:
    # The server looks for a deadlock once in each wait: the other session may come too late for that look.
    tries = 0
    while "40P01" not in lanes.failures:
        tries += 1
        assert tries <= 20, lanes.failures
        lock_crosswise(lanes, lane, b"changed %d" % tries)
        lane.streams()

    assert lane.rows()[0] == (1, f"changed {tries}", "b")


def lock_crosswise(lanes: Lanes, lane: Lane, small: bytes) -> None:
    """Hold a row that apply wants while it holds its checkpoint, and then want the checkpoint."""
    with psycopg.connect(lanes.connection.info.dsn, password=lanes.connection.info.password) as other:
        other.execute("SET deadlock_timeout = '1min'")  # so that apply is the one that gives up
        other.execute(f"UPDATE {lane.quoted} SET big = big WHERE id = 1".encode())
        lane.change(update(1, small))
        until(lambda: waits_for_a_lock(lanes), "apply waits for the row")
        other.execute("SELECT FROM ferryman.checkpoint WHERE topic = %s FOR UPDATE", [lane.feed.topic])


def waits_for_a_lock(lanes: Lanes) -> bool:
    return lanes.one("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'ferryman apply%%' "
        "AND wait_event_type = 'Lock' AND datname = current_database())")[0]  # fmt: skip


def test_a_table_that_somebody_holds_is_told_of_while_the_others_go_on(
    lanes: Lanes, lane: Lane, bystander: Lane
) -> None:
    with psycopg.connect(lanes.connection.info.dsn, password=lanes.connection.info.password) as other:
        other.execute(f"LOCK TABLE {lane.quoted} IN ACCESS EXCLUSIVE MODE".encode())
        lane.one_more()
        lanes.fails_with("55P03")
        bystander.goes_on()
        reason, fix = lane.halted()
        bystander.goes_on()
    assert "55P03" in reason
    assert "lock" in fix
    lane.whole()


def test_a_statement_that_is_cancelled_is_tried_again(lanes: Lanes, lane: Lane) -> None:
    with psycopg.connect(lanes.connection.info.dsn, password=lanes.connection.info.password) as other:
        other.execute(f"LOCK TABLE {lane.quoted} IN SHARE MODE".encode())
        lane.one_more()
        until(lambda: cancelled(lanes), "it is cancelled while it waits for the table, and not when that took too long")
    lane.whole()


def cancelled(lanes: Lanes) -> bool:
    """Cancel a statement of apply that waits for a lock now; whether one was cancelled by then."""
    lanes.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ferryman apply%' "
        "AND wait_event_type = 'Lock' AND datname = current_database()")  # fmt: skip
    return "57014" in lanes.failures


def test_a_target_that_can_only_be_read_is_waited_out(lanes: Lanes, lane: Lane) -> None:
    database = lanes.connection.info.dbname
    rows = len(lane.rows())
    lanes.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    try:
        lanes.end_sessions()
        lane.one_more()
        lanes.fails_with("25006")
        assert len(lane.rows()) == rows
    finally:
        lanes.run(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    lane.whole()


@pytest.mark.parametrize("lost", ["INSERT", "SELECT"])
def test_a_privilege_that_was_revoked_stops_its_table_alone_until_it_is_granted_again(
    lanes: Lanes, lane: Lane, bystander: Lane, lost: str
) -> None:
    rows = len(lane.rows())
    lanes.run(f"REVOKE {lost} ON {lane.quoted} FROM {lanes.role}")
    lane.one_more()
    lane.change(update(1, b"new"), update(1, b"again"))
    reason, fix = lane.halted()
    bystander.goes_on()
    assert "42501" in reason
    assert "GRANT" in fix
    assert len(lane.rows()) == rows
    lanes.run(f"GRANT {lost} ON {lane.quoted} TO {lanes.role}")
    lane.whole()


def test_a_table_that_was_given_to_another_role_stops_alone(lanes: Lanes, bystander: Lane) -> None:
    lane = lanes.lane("taken")
    lane.goes_on()
    lanes.run("ALTER TABLE public.taken OWNER TO CURRENT_USER")
    wider = replace(lane.feed.table, columns=(*lane.feed.table.columns, Column("more", TEXT, target_type="text")))
    lane.feed.register(wider)
    lane.change((Op.CREATE, None, (b"2", b"s", b"b", b"m")))
    assert "42501" in lane.halted()[0]
    bystander.goes_on()
    lanes.own("taken")
    lane.streams()

    assert lane.rows() == [(1, "s", "b", None), (2, "s", "b", "m")]


HARMS = ["type", "not null", "unique", "no key", "renamed"]


@pytest.mark.parametrize(
    ("harm", "sign", "mend"),
    [
        ("ALTER {t} ALTER small TYPE int USING 0", "22P02", "ALTER {t} ALTER small TYPE text"),
        ("ALTER {t} ADD mine int NOT NULL DEFAULT 0; ALTER {t} ALTER mine DROP DEFAULT", "23502", "ALTER {t} DROP mine"),
        ("ALTER {t} ADD UNIQUE (big)", "23505", "ALTER {t} DROP CONSTRAINT harmed_2_big_key"),
        ("ALTER {t} DROP CONSTRAINT harmed_3_pkey", "", ""),
        ("ALTER {t} RENAME TO elsewhere", "dropped", "ALTER TABLE public.elsewhere RENAME TO harmed_4"),
    ],
    ids=HARMS,
)  # fmt: skip
def test_a_table_that_was_altered_by_hand_says_so_and_goes_on_when_it_was_mended(
    lanes: Lanes, bystander: Lane, harm: str, sign: str, mend: str, request: pytest.FixtureRequest
) -> None:
    name = f"harmed_{HARMS.index(request.node.callspec.id)}"
    lane = lanes.lane(name)
    lane.change(insert(1))
    lane.arrived()
    lanes.run(harm.replace("{t}", f"TABLE public.{name}"))
    lane.change(insert(2), update(1, b"x"))
    lane.change(update(2, b"y"), (Op.UPDATE, (b"1", UNSENT, UNSENT), (b"7", b"z", UNSENT)))
    if sign:
        assert sign in lane.halted()[0]
        bystander.goes_on()
        lanes.run(mend.replace("{t}", f"TABLE public.{name}"))
    lane.streams()

    assert [row[:2] for row in lane.rows()] == [(2, "y"), (7, "z")]


@pytest.mark.parametrize("harm", ["DROP TABLE public.{t}", "ALTER TABLE public.{t} DROP COLUMN big"])
def test_what_was_dropped_from_the_target_is_told_of_and_comes_back_with_a_new_snapshot(
    lanes: Lanes, bystander: Lane, harm: str
) -> None:
    lane = lanes.lane(harm.partition(" ")[0].lower() + "ed")
    lane.goes_on()
    lanes.run(harm.replace("{t}", lane.name.partition(".")[2]))
    lane.one_more()
    reason, fix = lane.halted()
    bystander.goes_on()
    assert "dropped" in reason
    assert "ferryman resync" in fix
    lane.feed.say()
    lane.feed.load((b"1", b"s", b"b"), (b"2", b"s", b"b"))
    lane.one_more()
    lane.streams()

    assert lane.rows("id, small, big") == [(i, "s", "b") for i in (1, 2, 3)]


def test_a_full_disk_is_told_of_and_apply_goes_on_when_there_is_room(lanes: Lanes, bystander: Lane) -> None:
    lane = lanes.lane("crowded")
    lane.goes_on()
    lanes.run("CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$")  # fmt: skip
    lanes.run("CREATE TRIGGER no_room BEFORE INSERT ON public.crowded FOR EACH ROW EXECUTE FUNCTION public.no_room()")
    lane.one_more()
    reason, fix = lane.halted()
    bystander.goes_on()
    assert "53100" in reason
    assert "room" in fix
    lanes.run("DROP TRIGGER no_room ON public.crowded")
    lane.whole()


PHASES = ["polled", "before_begin", "locked", "mid_batch", "before_checkpoint", "before_commit", "committed"]


def test_a_connection_that_is_cut_in_any_phase_loses_and_doubles_nothing(lanes: Lanes) -> None:
    keyed, keyless = lanes.lane("cut"), lanes.lane("cut_keyless", table(key=False, full=True))
    keyed.change(*(insert(i) for i in range(1, 10)))
    for i, phase in enumerate(PHASES, start=10):
        for lane in (keyed, keyless):
            lane.arrived()
            with lanes.cut_at(f"apply.{phase}"):
                gone = (b"%d" % (i - 9 if lane is keyed else i - 1), b"s", b"b")
                deleted: list[Change] = [(Op.DELETE, gone, None)] if lane is keyed or i > 10 else []
                lane.change(insert(i), *deleted, insert(i + 100))
    for phase in ("before_ddl", "after_ddl"):
        keyed.arrived()
        column = Column(phase, TEXT, target_type="text")
        keyed.feed.register(replace(keyed.feed.table, columns=(*keyed.feed.table.columns, column)))
        filler = [b"w"] * (len(keyed.feed.table.columns) - 3)
        with lanes.cut_at(f"apply.{phase}"):
            keyed.change((Op.CREATE, None, (b"%d" % (500 + len(filler)), b"s", b"b", *filler)))
    keyed.streams()
    keyless.streams()

    count = len(PHASES)
    assert [row[0] for row in keyed.rows()] == [*range(count + 1, count + 10), *range(110, 110 + count), 501, 502]
    assert keyed.counts() == (9 + 2 * count + 2, 0, count)
    assert [row[0] for row in keyless.rows()] == [9 + count, *range(110, 110 + count)]
    assert keyless.counts() == (2 * count, 0, count - 1)


def test_a_connection_that_is_cut_at_the_takeover_costs_nothing(lanes: Lanes) -> None:
    with lanes.cut_at("apply.takeover"):
        lane = lanes.lane("newcomer")
    lane.one_more()
    lane.whole()
