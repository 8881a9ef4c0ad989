"""Events of MySQL split many at once, and gathered until they are: event by event is the reference."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from capture.runs import RunBuilder
from capture.sources.mysql.changes import TRUNCATE, Reading
from capture.sources.mysql.gathering import Gatherer
from capture.sources.mysql.row_images import cutting, rows, splitting
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.row_images.rows import RowsError
from capture.sources.mysql.row_images.stretches import Rows, Slice
from capture.sources.mysql.row_images.wire import Wire, WireType
from schemas.block import Transaction
from schemas.table import TableSchema
from tests.support import mysql_images as made

#: A counterexample is small as it is.
FAST = (Phase.explicit, Phase.reuse, Phase.generate)
KINDS = {"c": 30, "u": 31, "d": 32}
TEXT = made.Column(Wire(WireType.VARCHAR, 400), ColumnMeta("", "varchar", charset="utf8mb4", length=100), st.nothing())
INT = made.Column(Wire(WireType.LONG), ColumnMeta("", "int"), st.nothing())
TABLE = made.table([INT, TEXT])


def event_of(width, images, op):
    return rows.event(KINDS[op], made.rows_body(width, images, update=op == "u"))


def one_by_one(split, events):
    out = []
    for event in events:
        try:
            out.append(split(event))
        except RowsError as error:
            out.append(str(error))
    return out


def at_once(cut, events):
    return [
        str(found) if isinstance(found, RowsError) else list(found.rows()) if isinstance(found, Slice) else found
        for found in cut(events)
    ]


@settings(max_examples=60, phases=FAST)
@given(st.data())
def test_events_of_every_type_of_column_are_split_at_once_as_one_by_one(data):
    columns = data.draw(st.lists(made.columns(), min_size=1, max_size=10))
    pool = data.draw(st.lists(st.tuples(*(st.none() | c.cells for c in columns)).map(list), min_size=1, max_size=5))
    random = Random(data.draw(st.integers(0, 1 << 32)))
    table = made.table(columns)
    images = list(map(made.image, pool))
    events = []
    for _ in range(random.choice([20, 70])):
        op = random.choice("cud")
        count = random.choice([0, 1, 2, 5, 30]) * (2 if op == "u" else 1)
        events.append(event_of(len(columns), random.choices(images, k=count), op))
    assert at_once(cutting.cutter(table.wires), events) == one_by_one(splitting.splitter(table.wires), events)


@settings(max_examples=100)
@given(st.integers(0, (1 << 32) - 1))
def test_broken_events_among_others_are_refused_as_alone_and_the_others_split(seed):
    random = Random(seed)
    events = []
    for _ in range(60):
        body = made.rows_body(2, [image(i, "é" * random.randrange(99)) for i in range(random.randint(1, 9))])
        if random.random() < 0.3:
            body = body[: -random.randint(1, 5)]
        elif random.random() < 0.3:
            at = random.randrange(len(body) - 20, len(body))
            body = body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
        events.append(rows.event(random.choice([30, 32]), body))
    assert at_once(cutting.cutter(TABLE.wires), events) == one_by_one(splitting.splitter(TABLE.wires), events)


def test_whole_events_are_not_split_alone(monkeypatch):
    events = [event_of(2, [image(i, "x" * (i % 7)) for i in range(10)], "cud"[i % 3]) for i in range(60)]
    expected = one_by_one(splitting.splitter(TABLE.wires), events)
    monkeypatch.setattr(cutting, "splitter", lambda _wires: pytest.fail)
    assert at_once(cutting.cutter(TABLE.wires), events) == expected


def test_an_update_that_lacks_its_new_image_is_refused_among_others():
    whole, odd = event_of(2, [image(1), image(2)], "u"), event_of(2, [image(1), image(2), image(3)], "u")
    events = [whole] * 40 + [odd] + [whole] * 40
    assert at_once(cutting.cutter(TABLE.wires), events) == one_by_one(splitting.splitter(TABLE.wires), events)


def test_events_that_are_partial_or_lack_columns_are_refused_among_others():
    whole = event_of(2, [image(1)], "c")
    events = [whole] * 40 + [whole._replace(present=b"\1"), whole._replace(partial=True), whole._replace(width=3)]
    assert at_once(cutting.cutter(TABLE.wires), events) == one_by_one(splitting.splitter(TABLE.wires), events)


# --- gathered ---------------------------------------------------------------------------------------------------------

READINGS = [Reading.of(f"shop.t{i}", TableSchema("shop", f"t{i}", ()), TABLE, TABLE.columns) for i in range(2)]


def image(number, text="abc"):
    size = len(text.encode())
    return made.image([(b"", number.to_bytes(4, "little")), (b"", size.to_bytes(2, "little") + text.encode())])


def told(runs):
    return [
        (
            run.version.name,
            run.transactions,
            list(run.rows),
            run.tx().tolist(),
            run.ordinals().tolist(),
            run.last().tolist(),
        )
        for run in runs
    ]


@settings(max_examples=60)
@given(st.integers(0, (1 << 32) - 1))
def test_events_that_are_split_late_give_the_runs_that_their_rows_give(seed):
    random = Random(seed)
    gathered, reference = Gatherer(never), RunBuilder()
    gathered.most = random.choice([1, 20, 500, 1 << 40])
    for number in range(random.randint(1, 60)):
        transaction = Transaction(number, number, str(number))
        gathered.begin(transaction)
        reference.begin(transaction)
        for _ in range(random.randrange(4)):
            reading = random.choice(READINGS)
            if random.random() < 0.2:
                found = [TRUNCATE]
                gathered.add(reading, found)
            else:
                images = [image(i, "x" * random.randrange(9)) for i in range(random.choice([0, 2, 10]))]
                event = event_of(2, images, random.choice("cud"))
                found = reading.split(event)
                gathered.add_event(reading, event)
            if found:
                reference.extend(reading.name, reading, found)
            if random.random() < 0.1:  # in the middle of a transaction
                assert told(gathered.take()) == told(reference.take())
                assert gathered.rows == reference.held
            if random.random() < 0.3:
                assert gathered.rows >= 0
        gathered.commit()
        reference.commit()
    assert told(gathered.take()) == told(reference.take())


def never(name, reason):
    raise AssertionError(f"{name}: {reason}")


@pytest.mark.parametrize("most", [5, 100, 1_000])
def test_a_full_batch_has_exactly_as_many_rows_as_are_told(most):
    gathered = Gatherer(never)
    gathered.most = most
    gathered.begin(Transaction(1, 1, "1"))
    added = 0
    while gathered.rows < most:
        gathered.add_event(READINGS[0], event_of(2, [image(i) for i in range(7)], "c"))
        added += 7
    assert gathered.rows == added < most + 7
    gathered.commit()
    assert sum(map(len, gathered.take())) == added
    assert gathered.rows == 0


def test_an_event_that_cannot_be_split_loses_its_table_and_the_rows_behind_it():
    lost = []
    gathered = Gatherer(lambda name, reason: lost.append((name, reason)))
    whole = event_of(2, [image(1)], "c")
    broken = whole._replace(images=whole.images[:-1])
    gathered.begin(Transaction(1, 1, "1"))
    for event in (whole, broken, whole):
        gathered.add_event(READINGS[0], event)
    gathered.add(READINGS[0], READINGS[0].split(whole))
    gathered.add_event(READINGS[1], whole)
    gathered.commit()
    assert {run.version.name: len(run) for run in gathered.take()} == {"shop.t0": 1, "shop.t1": 1}
    assert lost == [("shop.t0", "a row of it cannot be read: a row image that does not end with its event")]


# --- rows that are not single ones ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, (1 << 32) - 1))
def test_rows_of_events_and_single_rows_are_what_a_list_of_them_is(seed):
    random = Random(seed)
    events = [event_of(2, [image(i, "x" * random.randrange(9)) for i in range(6)], "cud"[i % 3]) for i in range(40)]
    slices = cutting.cutter(TABLE.wires)(events)
    found, expected = Rows(), []
    for _ in range(random.randint(0, 12)):
        kind = random.choice(["event", "next events", "single", "pop"])
        at = random.randrange(len(slices) - 2)
        if kind == "single":
            found.append(b"t")
            expected.append(b"t")
        elif kind == "pop" and expected:
            assert found.pop() == expected.pop()
        else:
            for piece in slices[at : at + (3 if kind == "next events" else 1)]:
                found.extend(piece)
                expected += piece.rows()
        assert (len(found), list(found)) == (len(expected), expected)
    together = found.together()
    bounds = zip(together.letters.tolist(), together.starts.tolist(), together.ends.tolist(), strict=True)
    assert [bytes([letter]) + together.raw[start:end] for letter, start, end in bounds] == expected
    assert len(together.raw) >= sum(map(len, expected)) - len(expected) + 8


def test_no_rows_have_no_last_one():
    with pytest.raises(IndexError):
        Rows().pop()
