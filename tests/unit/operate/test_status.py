"""What status says of a pipeline, from every combination of what can be found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from capture.operations import LogState
from operate.applied import Applied, AppliedTable, Checkpoint
from operate.commands.status import draw
from operate.status import Facts, document
from runtime.errors import Fault
from schemas.positions import Phase, Positions, StreamRecord, TableRecord

NOW = 1_800_000_000.0
PATIENCE_S = 30.0
LOADED = b"\x05" * 28


def us(seconds_ago: float) -> int:
    return int((NOW - seconds_ago) * 1_000_000)


def stream(**fields) -> StreamRecord:
    given = {
        "run": 1, "source": "s", "incarnation": 1, "resume": {"lsn": 1000}, "identity": {}, "reached": {},
        "committed_us": us(50), "saved_ms": int((NOW - 1) * 1000), "address": "127.0.0.1:9", "rows": 1_500,
        "reference_rows": 30,
    }  # fmt: skip
    return StreamRecord(**(given | fields))


def table(name: str = "public.t", **fields) -> TableRecord:
    given = {
        "run": 1, "table": name, "topic": f"shop.{name}", "phase": Phase.STREAMING, "loaded": LOADED.hex(),
        "rows_done": 100, "rows_total": 90, "started_ms": int((NOW - 10) * 1000),
    }  # fmt: skip
    return TableRecord(**(given | fields))


def log(*, active: bool | None) -> LogState:
    return LogState("reserved", active, 0, 1)


def facts(record: TableRecord | None = None, **fields) -> Facts:
    record = record or table()
    place = (record.topic, 0)
    given = {
        "pipeline": "shop",
        "now": NOW,
        "positions": Positions(1, stream(), {record.table: record}),
        "applied": Applied(
            {place: Checkpoint(*place, "id", 10, b"\x06" * 28, us(5))},
            {record.table: AppliedTable(record.table, record.topic, "streaming", None, None, 1, 2, 3, 100, 0, 4)},
        ),
        "ends": {place: 10},
        "source": LogState("reserved", active=True, behind_bytes=0, retained_bytes=7),
        "applying": True,
        "patience_s": PATIENCE_S,
    }
    return Facts(**(given | fields))


def only(shown: dict) -> dict:
    return shown["tables"][0]


def test_a_healthy_pipeline_is_shown_with_every_key():
    assert document(facts()) == {
        "pipeline": "shop",
        "capture": {
            "state": "running", "lag_seconds": 0.0, "lag_bytes": 0, "retained_bytes": 7, "slot_status": "reserved",
            "reason": None, "address": "127.0.0.1:9", "rows": 1_500, "reference_rows": 30,
        },
        "apply": {"state": "running", "lag_seconds": 0.0, "lag_events": 0, "reference_rows": 4},
        "tables": [
            {
                "table": "public.t", "state": "streaming", "reason": None, "fix": None, "snapshot_rows": 100,
                "snapshot_total": 100, "eta_seconds": None, "inserts": 1, "updates": 2, "deletes": 3, "rejected": 0,
                "reference_rows": 4, "lag_seconds": 0.0,
            }
        ],
    }  # fmt: skip


def test_what_cannot_be_found_out_is_null():
    shown = document(facts(applied=None, source=None, applying=None, ends={}))

    assert shown["apply"] == {"state": None, "lag_seconds": None, "lag_events": None, "reference_rows": None}
    assert shown["capture"]["lag_bytes"] is shown["capture"]["slot_status"] is None
    assert all(only(shown)[key] is None for key in ("inserts", "updates", "deletes", "rejected", "reference_rows"))
    assert only(shown)["lag_seconds"] is None


def drawn(shown: dict) -> str:
    console = Console(width=200)
    with console.capture() as text:
        console.print(draw(shown, []))
    return text.get()


def test_rows_that_did_not_go_by_column_are_shown_of_both_daemons():
    text = drawn(document(facts()))

    assert "30 of 1,500 rows one by one" in text
    assert " · 4 rows one by one" in text


def test_where_all_rows_went_by_column_nothing_is_said_of_it():
    seen = facts()
    seen.positions.stream = stream(rows=1_500, reference_rows=0)
    state = replace(seen.applied.tables["public.t"], reference_rows=0)

    text = drawn(document(replace(seen, applied=Applied(seen.applied.checkpoints, {"public.t": state}))))

    assert "one by one" not in text


def test_a_pipeline_that_never_ran_is_shown_too():
    shown = document(Facts("shop", NOW, Positions(), Applied(), {}, None, applying=False, patience_s=PATIENCE_S))

    assert shown["capture"]["state"] == "not_started"
    assert shown["apply"] == {"state": "stopped", "lag_seconds": 0.0, "lag_events": 0, "reference_rows": 0}
    assert shown["capture"]["rows"] is shown["capture"]["reference_rows"] is None
    assert shown["tables"] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"phase": Phase.PENDING, "loaded": None}, "pending"),
        ({"phase": Phase.SNAPSHOTTING, "loaded": None}, "snapshotting"),
        ({"phase": Phase.BLOCKED, "reason": "r", "fix": "f"}, "blocked"),
        ({"phase": Phase.NEEDS_RESYNC, "reason": "r", "fix": "f"}, "needs_resync"),
        ({"loaded": "07" * 28}, "snapshotting"),
        ({"loaded": "06" * 28}, "streaming"),
    ],
)
def test_the_state_is_that_of_capture_until_apply_has_the_whole_copy(fields, expected):
    shown = only(document(facts(table(**fields))))

    assert (shown["state"], shown["reason"], shown["fix"]) == (expected, fields.get("reason"), fields.get("fix"))


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.SNAPSHOTTING, Phase.BLOCKED, Phase.NEEDS_RESYNC])
def test_a_table_that_is_not_copied_whole_has_no_age(phase):
    assert only(document(facts(table(phase=phase))))["lag_seconds"] is None


def with_state(record: TableRecord, state: str) -> Facts:
    seen = facts(record)
    halted = replace(seen.applied.tables[record.table], state=state, reason="why", fix="how")
    return replace(seen, applied=Applied(seen.applied.checkpoints, {record.table: halted}))


@pytest.mark.parametrize("state", ["blocked", "needs_resync", "diverged"])
def test_a_halt_of_apply_is_shown_with_reason_and_fix(state):
    shown = only(document(with_state(table(), state)))

    assert (shown["state"], shown["reason"], shown["fix"]) == (state, "why", "how")


def test_a_halt_of_apply_does_not_outlive_the_request_for_a_new_copy():
    record = table(phase=Phase.SNAPSHOTTING, generation=2, loaded=None)

    assert only(document(with_state(record, "needs_resync")))["state"] == "snapshotting"
    assert only(document(with_state(replace(record, generation=1), "blocked")))["state"] == "blocked"


def test_events_that_wait_are_counted_and_dated():
    shown = document(facts(ends={("shop.public.t", 0): 25}))

    assert (shown["apply"]["lag_seconds"], shown["apply"]["lag_events"]) == (5.0, 15)
    assert only(shown)["lag_seconds"] == 5.0


def test_a_topic_that_apply_has_not_begun_with_waits_as_a_whole():
    shown = document(facts(applied=Applied()))

    assert (shown["apply"]["lag_seconds"], shown["apply"]["lag_events"]) == (None, 10)
    assert only(shown)["state"] == "snapshotting"


def test_capture_is_behind_by_the_age_of_the_newest_transaction_in_the_topics():
    shown = document(facts(source=LogState("extended", active=True, behind_bytes=2**30, retained_bytes=2**31)))

    assert (shown["capture"]["lag_bytes"], shown["capture"]["lag_seconds"]) == (2**30, 50.0)
    assert only(shown)["lag_seconds"] == 50.0


@pytest.mark.parametrize(
    ("source", "record", "expected"),
    [
        (log(active=True), stream(state="stopped"), "running"),
        (log(active=False), stream(), "stopped"),
        (log(active=None), stream(), "running"),
        (log(active=None), stream(state="stopped"), "stopped"),
        (log(active=None), stream(saved_ms=int((NOW - 31) * 1000)), "not_responding"),
        (log(active=False), None, "not_started"),
        (None, stream(), "running"),
        (None, stream(saved_ms=int((NOW - 31) * 1000)), "not_responding"),
        (None, stream(state="stopped"), "stopped"),
        (None, None, "not_started"),
    ],
)
def test_capture_runs_when_its_slot_is_in_use_or_its_last_word_is_fresh(source, record, expected):
    seen = facts(source=source)
    seen.positions.stream = record

    assert document(seen)["capture"]["state"] == expected


def test_the_time_left_follows_the_pace_so_far():
    seen = facts(table(phase=Phase.SNAPSHOTTING, loaded=None, rows_total=400))

    assert only(document(seen))["eta_seconds"] == 30.0


@given(
    phase=st.sampled_from([p for p in Phase if p is not Phase.REMOVED]),
    applied=st.sampled_from([None, "loading", "streaming", "blocked", "needs_resync", "diverged"]),
    generation=st.integers(1, 2), total=st.none() | st.integers(0, 10), width=st.integers(40, 200),
    source=st.booleans(),
)  # fmt: skip
def test_every_status_can_be_drawn_and_names_a_known_state(phase, applied, generation, total, width, source):
    record = table('public."Odd [bold] Name"', phase=phase, generation=generation, rows_total=total)
    seen = with_state(record, applied) if applied else facts(record, applied=None)
    shown = document(seen if source else replace(seen, source=None))
    console = Console(width=width, record=True, file=None, quiet=True)
    console.print(draw(shown, [Fault("source", "does not [answer]", "wait")]))

    known = {"pending", "snapshotting", "streaming", "blocked", "needs_resync", "diverged", "paused"}
    assert only(shown)["state"] in known
