"""Plans run by the writer on a real target have the result of the events; see tests/unit/apply for plans alone."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from apply import column_plan
from apply import writer as writer_module
from apply.evolution import ensure
from apply.planner import plan
from apply.session import Session
from apply.sql import Statements
from apply.writer import Writer
from runtime import postgres
from schemas.block import UNSENT, Op
from schemas.columnar.received import ReceivedColumns
from schemas.table import Column, TableSchema
from tests.unit.apply.histories import INT, TEXT, Event, History, histories, received, table

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

LIVE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def session(target_db: str) -> Iterator[Session]:
    session = Session(lambda: postgres.connect(target_db, application_name="ferryman tests"))
    yield session
    session.close()


def write(
    session: Session, made: TableSchema, events: list[Event], *, rebuild: bool = False, by_column: bool = False
) -> int:
    batch = received(made, events)
    statements = Statements(ensure(session, made, "evolve"))
    missing = Writer(session, statements, rebuild=rebuild).write(
        plan([ReceivedColumns.of(batch) if by_column else batch])
    )
    session.commit()
    return missing


def contents(session: Session, columns: str = "id, small, big") -> Counter:
    rows = session.run(f"SELECT {columns} FROM public.t").fetchall()
    session.commit()
    return Counter(tuple(None if v is None else str(v).encode() for v in row) for row in rows)


def refill(session: Session, rows: list[tuple], *, key: bool) -> None:
    session.run("DROP TABLE IF EXISTS public.t")
    session.run(f"CREATE TABLE public.t (id int{' PRIMARY KEY' if key else ''}, small text, big text)")
    for row in rows:
        session.execute("INSERT INTO public.t VALUES (%s, %s, %s)", [v and v.decode() for v in row])
    session.commit()


def cut(data: st.DataObject, events: list[Event]) -> list[list[Event]]:
    places = [i + 1 for i, e in enumerate(events) if e.last]
    edges = [0, *sorted(data.draw(st.sets(st.sampled_from(places)))), len(events)] if places else [0]
    return [events[a:b] for a, b in itertools.pairwise(edges) if a < b]


def check(session: Session, history: History, data: st.DataObject, *, rebuild: bool = False) -> None:
    refill(session, history.start, key=not history.table.keyless)
    for events in cut(data, history.events):
        assert write(session, history.table, events, rebuild=rebuild, by_column=data.draw(st.booleans())) == 0
    assert contents(session) == Counter(history.end)


@LIVE
@given(history=histories(), data=st.data())
@pytest.mark.parametrize("few", [0, 20], ids=["staged", "parameters"])
def test_histories_with_unsent_columns_and_key_changes(
    session: Session, monkeypatch: pytest.MonkeyPatch, few: int, history: History, data: st.DataObject
) -> None:
    monkeypatch.setattr(writer_module, "FEW", few)
    monkeypatch.setattr(writer_module, "_PARAMETERS", 7)  # two rows in a statement
    monkeypatch.setattr(column_plan, "WORTH_COPYING", 1)
    check(session, history, data)


@LIVE
@given(history=histories(), data=st.data())
def test_histories_by_lifting_rows_out_and_putting_them_back(
    session: Session, history: History, data: st.DataObject
) -> None:
    check(session, history, data, rebuild=True)


@LIVE
@given(history=histories(full=True, deferred=True), data=st.data())
def test_histories_of_a_deferrable_key(session: Session, history: History, data: st.DataObject) -> None:
    check(session, history, data)


@LIVE
@given(history=histories(key=False, full=True), data=st.data())
def test_histories_without_a_key(session: Session, history: History, data: st.DataObject) -> None:
    check(session, history, data)


@pytest.mark.parametrize("by_column", [False, True])
def test_a_new_row_whose_key_stands_in_the_target_after_all_replaces_the_one_there(
    session: Session, monkeypatch: pytest.MonkeyPatch, by_column: bool
) -> None:
    monkeypatch.setattr(writer_module, "FEW", 0)
    monkeypatch.setattr(column_plan, "WORTH_COPYING", 1)
    refill(session, [(b"1", b"old", b"old"), (b"2", b"old", b"old")], key=True)
    created = [Event(Op.CREATE, None, (key, b"new", None)) for key in (b"1", b"3")]

    write(session, table(), [*created, full_update(b"2", b"new")], by_column=by_column)

    assert contents(session) == Counter([(b"1", b"new", None), (b"2", b"new", b"B"), (b"3", b"new", None)])


def full_update(key: bytes, small: bytes) -> Event:
    return Event(Op.UPDATE, None, (key, small, b"B"))


def test_a_unique_value_handed_from_row_to_row_needs_the_rows_lifted_out(session: Session) -> None:
    refill(session, [(b"1", b"x", b"B"), (b"2", b"y", b"B")], key=True)
    session.run("ALTER TABLE public.t ADD UNIQUE (small)")
    session.commit()
    swap = [full_update(b"1", b"-"), full_update(b"2", b"x"), Event(Op.UPDATE, None, (b"1", b"y", UNSENT), last=True)]

    with pytest.raises(errors.UniqueViolation):
        write(session, table(), swap)
    session.rollback()
    write(session, table(), swap, rebuild=True)

    assert contents(session) == Counter([(b"1", b"y", b"B"), (b"2", b"x", b"B")])


def test_columns_that_only_the_target_has_keep_their_values(session: Session) -> None:
    refill(session, [(b"1", b"x", b"B"), (b"2", b"y", b"B")], key=True)
    session.run(
        "ALTER TABLE public.t ADD COLUMN own text DEFAULT 'new', ADD COLUMN g text GENERATED ALWAYS AS (small) STORED"
    )
    session.run("UPDATE public.t SET own = 'kept'")
    session.commit()

    for rebuild in (False, True):
        new = b"3" if rebuild else b"4"
        events = [
            full_update(b"1", b"z"),
            Event(Op.UPDATE, None, (b"2", b"w", UNSENT)),
            Event(Op.CREATE, None, (new, b"n", None)),
        ]
        write(session, table(), events, rebuild=rebuild)

    assert contents(session, "id, small, own, g") == Counter(
        [
            (b"1", b"z", b"kept", b"z"),
            (b"2", b"w", b"kept", b"w"),
            (b"3", b"n", b"new", b"n"),
            (b"4", b"n", b"new", b"n"),
        ]
    )


@pytest.mark.parametrize(
    "definition", ["id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "id int", "id int UNIQUE DEFERRABLE"]
)
def test_any_kind_of_key_column_at_the_target_will_do(session: Session, definition: str) -> None:
    session.run(f"CREATE TABLE public.t ({definition}, small text, big text)")
    rows = [(b"%d" % i, b"s", b"b") for i in range(1, 50)]

    write(session, table(), [Event(Op.READ, None, row) for row in rows])
    write(session, table(), [full_update(b"1", b"z"), Event(Op.DELETE, (b"2", UNSENT, UNSENT), None)])
    write(session, table(), [Event(Op.READ, None, row) for row in rows])

    assert contents(session) == Counter(rows)


def test_rows_that_exist_after_all_are_replaced(session: Session) -> None:
    refill(session, [(b"7", b"old", b"B")], key=True)
    rows = [(b"%d" % i, b"new", None) for i in range(100)]

    write(session, table(), [Event(Op.CREATE, None, row) for row in rows])

    assert contents(session) == Counter(rows)


def test_rows_that_must_exist_and_do_not_are_counted(session: Session) -> None:
    refill(session, [(b"1", b"a", b"B")], key=True)
    events = [Event(Op.UPDATE, None, (b"%d" % i, b"z", UNSENT)) for i in range(1, 30)]

    assert write(session, table(), events) == 28
    assert write(session, table(), events, rebuild=True) == 28
    assert write(session, table(), events[:3]) == 2


@pytest.mark.parametrize("sent", [(b"four", None), (None, b"10"), (b"four", UNSENT), (UNSENT, b"10")])
def test_a_value_too_long_for_its_column_is_an_error_and_never_cut(session: Session, sent: tuple) -> None:
    types = {"id": "integer", "small": "character varying(3)", "big": "bit(3)"}
    made = TableSchema("public", "t", tuple(replace(c, target_type=types[c.name]) for c in table().columns))
    write(session, made, [Event(Op.CREATE, None, (b"1", None, None))])

    with pytest.raises(errors.DataError):
        write(session, made, [Event(Op.UPDATE, None, (b"1", *sent))])


def test_odd_names_and_odd_values_travel(session: Session) -> None:
    columns = (
        Column('i"d%s', INT, target_type="integer", key_position=1),
        Column("a?b %(x)s", TEXT),
        Column(";--\\", TEXT),
    )
    odd = TableSchema('od"d %s', "T?a\\ble", columns)
    values = [b"\\\\", b"a\\tb\\nc\\rd", b"\\\\N", b"", b"'\"$1%s", "üñ∂".encode()]
    rows = [(b"%d" % i, value, None) for i, value in enumerate(values)]

    for repeat in (1, 2):
        write(session, odd, [Event(Op.READ if repeat == 1 else Op.UPDATE, None, row) for row in rows])
        got = session.run(f"SELECT * FROM {postgres.quote(odd.namespace, odd.name)} ORDER BY 1").fetchall()
        session.commit()
        assert [row[1] for row in got] == ["\\", "a\tb\nc\rd", "\\N", "", "'\"$1%s", "üñ∂"]


def test_a_table_that_others_refer_to_is_emptied_all_the_same(session: Session) -> None:
    refill(session, [(b"1", b"a", b"B")], key=True)
    session.run("CREATE TABLE public.child (id int REFERENCES public.t)")
    session.commit()

    write(session, table(), [Event(Op.TRUNCATE, None, None), Event(Op.READ, None, (b"2", b"b", None))])

    assert contents(session) == Counter([(b"2", b"b", None)])


def test_equal_texts_of_different_spelling_count_together(session: Session) -> None:
    """Without a key: what the target holds decides, not how the source wrote it."""
    made = TableSchema(
        "public", "t", tuple(Column(n, INT, target_type="numeric(5,2)", identity=True) for n in ("id", "small", "big"))
    )
    write(session, made, [Event(Op.CREATE, None, (b"1", b"1.0", None))] * 3)

    missing = write(
        session, made, [Event(Op.DELETE, (b"1.00", b"1", None), None), Event(Op.DELETE, (b"1", b"1.0", None), None)]
    )

    assert (missing, sum(contents(session).values())) == (0, 1)
