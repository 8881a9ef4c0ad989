"""What every source must do, for every folder that is found: a new source is tested by existing."""

from __future__ import annotations

import json
import pickle
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import capture.sources
from capture.source import HistoryLost, key_text
from schemas.block import UNSENT, Op
from tests.support.sources import changes, chunk_rows, found, identity_of, read_all, read_chunk, snapshot, started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet

    from tests.contract.world import World

pytestmark = pytest.mark.live

FOLDERS = sorted(p.parent.name for p in Path(capture.sources.__file__).parent.glob("*/source.py"))


def worlds() -> list[ParameterSet]:
    """Return folder and server of each world; most folders speak to one kind of server."""
    found = []
    for folder in FOLDERS:
        servers = getattr(import_module(f"tests.contract.{folder}"), "SERVERS", {folder: ()})
        found += [pytest.param((folder, name), id=name, marks=marks) for name, marks in servers.items()]
    return found


@pytest.fixture(params=worlds())
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    folder, server = request.param
    with import_module(f"tests.contract.{folder}").world(request, server) as made:
        yield made


def ids(batch, table):
    return [int((e.after or e.before)[0]) for e in changes(batch, table) if e.after or e.before]


def test_identity_resume_marks_and_plans_are_json(world):
    world.create("t", keyed=True)
    identity = identity_of(world.source())
    with started(world.source()) as source:
        world.insert("t", 1)
        batch = read_all(source)
        plan, chunks, _rows = source.plan(found(source, "t"))
        for value in (identity, batch.resume, source.now(), source.reached(), source.fence(), plan):
            assert json.loads(json.dumps(value)) == value
        assert chunks >= 1


def test_a_reader_that_is_behind_stands_between_two_transactions_after_each_batch(world):
    """Where else would its position be saved, its snapshots go on, and requests be obeyed?"""
    world.create("t", keyed=True)
    with started(world.source()) as source:
        for first in range(0, 80, 4):
            world.insert("t", *range(first, first + 4))
        end, batches = source.now(), []
        while not source.passed(end):
            batches.append(source.read(10, 1.0))
    full = [batch for batch in batches if sum(map(len, batch.blocks)) >= 10]
    assert len(full) >= 4
    assert {(sum(map(len, batch.blocks)), batch.between) for batch in full} == {(12, True)}
    assert len({json.dumps(batch.resume) for batch in full}) == len(full)


def test_rows_come_in_commit_order_with_end_marks_for_each_table(world):
    world.create("a", keyed=True)
    world.create("b", keyed=True)
    with started(world.source()) as source:
        world.insert("a", 1, 2)
        world.insert_into(["a", "b"], 3)
        world.update("a", 1)
        world.delete("a", 2)
        batch = read_all(source)

    a, b = changes(batch, "a"), changes(batch, "b")
    assert [(e.op, e.last) for e in a] == [
        (Op.CREATE, False), (Op.CREATE, True), (Op.CREATE, True), (Op.UPDATE, True), (Op.DELETE, True),
    ]  # fmt: skip
    assert [(e.op, e.last) for e in b] == [(Op.CREATE, True)]
    assert [e.order for e in a] == sorted(e.order for e in a)
    assert a[2].transaction == b[0].transaction


def test_the_old_image_of_a_delete_has_the_key_and_never_null_for_what_was_not_sent(world):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        world.insert("t", 1)
        world.delete("t", 1)
        deleted = changes(read_all(source))[-1]

    assert key_text(deleted.table, deleted.before) == ("1",)
    assert all(v is UNSENT or v is not None for v in deleted.before)


def test_without_a_key_old_images_are_whole(world):
    world.create("t", keyed=False)
    with started(world.source()) as source:
        world.insert("t", 1)
        world.update("t", 1)
        updated = changes(read_all(source))[-1]

    assert updated.table.keyless
    assert [v is UNSENT for v in (*updated.before, *updated.after)] == [False] * 4


def test_a_restart_at_a_saved_place_gives_what_came_after_it_once(world):
    world.create("t", keyed=True)
    identity = identity_of(world.source())
    with started(world.source()) as source:
        world.insert("t", 1)
        saved = read_all(source)
        source.confirm(saved.resume)
        world.insert("t", 2)
        read_all(source)
    for _ in range(2):  # nothing was confirmed in between, so the second restart gives the same
        with started(world.source(), json.loads(json.dumps(saved.resume)), identity) as source:
            assert ids(read_all(source), "t") == [2]


def test_without_a_saved_place_the_stream_begins_at_the_place_that_the_source_keeps_for_us_or_now(world):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        world.insert("t", 1)
        source.confirm(read_all(source).resume)
        world.insert("t", 2)
    with started(world.source()) as source:
        world.insert("t", 3)
        assert ids(read_all(source), "t") == ([2, 3] if world.keeps_our_place else [3])


def test_another_identity_is_lost_history_and_streaming_can_go_on_from_now(world):
    world.create("t", keyed=True)
    identity = identity_of(world.source())
    with started(world.source()) as source:
        saved = read_all(source).resume
    source = world.source()
    try:
        now = source.prepare()
        with pytest.raises(HistoryLost):
            source.start(saved, dict.fromkeys(identity, "other"))
        source.start(None, now)
        source.publish(source.tables())
        world.insert("t", 1)
        assert ids(read_all(source), "t") == [1]
    finally:
        source.close()


def test_an_idle_stream_passes_a_mark(world):
    with started(world.source()) as source:
        for _ in range(3):
            mark = source.now()
            read_all(source)
            assert source.passed(mark)


def test_a_chunk_holds_the_bytes_and_the_version_of_the_stream(world, tmp_path):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        world.insert("t", *range(50))
        batch, table = read_all(source), found(source, "t")
        rows = snapshot(source, table, tmp_path)
        schema = read_chunk(source, table, tmp_path).schema

        assert sorted(rows) == sorted(e.after for e in changes(batch))
        assert schema == batch.blocks[0].table == source.schema(table)
        for column, value in zip(schema.columns, rows[0], strict=True):
            source.converter(column)(value)


def test_a_chunk_includes_the_transactions_whose_rows_it_has(world, tmp_path):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        fence = source.fence()
        world.insert("t", 1)
        chunk = read_chunk(source, found(source, "t"), tmp_path)
        world.insert("t", 2)
        events = changes(read_all(source))

        assert [int(row[0]) for row in chunk_rows(source, chunk)] == [1]
        assert [chunk.visibility.includes(e.transaction) for e in events] == [True, False]
        assert chunk.visibility.after(fence)
        assert source.settled(fence)
        assert source.passed(chunk.upto)


def test_chosen_keys_are_read_alone(world, tmp_path):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        world.insert("t", 1, 2, 3)
        chunk = read_chunk(source, found(source, "t"), tmp_path, keys=(("3",), ("1",), ("9",)))

        assert sorted(int(row[0]) for row in chunk_rows(source, chunk)) == [1, 3]


def test_what_goes_to_a_worker_and_back_pickles(world, tmp_path):
    world.create("t", keyed=True)
    with started(world.source()) as source:
        chunk = read_chunk(source, found(source, "t"), tmp_path)
        for value in (source.connection(), source.chunk_reader(), chunk):
            assert pickle.loads(pickle.dumps(value)) == value


def test_a_table_made_later_is_found_and_carried(world):
    with started(world.source()) as source:
        world.create("t", keyed=True)
        assert source.publish(source.tables())
        assert not source.publish(source.tables())
        world.insert("t", 1)
        assert ids(read_all(source), "t") == [1]


def test_closing_twice_does_no_harm(world):
    source = world.source()
    source.close()
    source.prepare()
    source.close()
    source.close()
