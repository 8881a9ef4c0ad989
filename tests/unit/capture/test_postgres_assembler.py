"""Messages become blocks: transactions, images, versions, and positions that never lose or repeat a transaction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres.assembler import Assembler, Followed
from capture.sources.postgres.pgoutput import ProtocolError
from schemas.block import UNSENT, Op
from schemas.event import events
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support import postgres_messages as wire

OID = 7


def schema_of(relation, labels=("sad",)):
    """A version with the columns of a relation message; type oid 1 stands for an enum."""
    columns = [
        Column(
            c.name,
            ValueType(Kind.ENUM, allowed=labels) if c.type_oid == 1 else ValueType(Kind.STRING),
            key_position=1 if c.name == "id" else None,
            identity=c.identity,
        )
        for c in relation.columns
    ]
    return TableSchema(relation.namespace, relation.name, tuple(columns))


def follow(relation, unknown):
    return Followed(f"{relation.namespace}.{relation.name}", schema_of(relation))


def assembler(start=0, following=follow):
    return Assembler(start, following)


def feed(to, *messages):
    for data in messages:
        to.feed(data)


def rows(batch):
    return [event for block in batch.blocks for event in events(block)]


TABLE = wire.relation(OID, [(True, "id", 25, -1), (False, "v", 25, -1)])


def test_a_transaction_has_its_commit_position_and_resumes_behind_its_end():
    a = assembler()
    feed(a, wire.begin(100, 5), TABLE, wire.insert(OID, (b"1", b"x")), wire.commit(100, 140))
    batch = a.take()

    [row] = rows(batch)
    assert (row.op, row.after, row.order.position, row.last) == (Op.CREATE, (b"1", b"x"), 100, True)
    assert (batch.resume["lsn"], batch.between, batch.at.id) == (140, True, "5")


def test_a_table_of_which_a_row_bears_another_identity_is_lost_and_the_others_go_on():
    a = assembler()
    other = OID + 1
    feed(a, wire.begin(100, 5), TABLE, wire.relation(other, [(True, "id", 25, -1)], name="u"))
    feed(a, wire.delete(OID, key=(None, b"x")), wire.insert(OID, (b"1", b"x")), wire.insert(other, (b"2",)))
    feed(a, wire.commit(100, 140))
    batch = a.take()

    assert [row.table.name for row in rows(batch)] == ["u"]
    assert list(batch.lost) == ["public.t"]


def test_in_the_middle_of_a_transaction_resume_stays_at_the_end_of_the_one_before():
    a = assembler()
    feed(a, wire.begin(100), TABLE, wire.commit(100, 140), wire.begin(200))
    feed(a, *[wire.insert(OID, (str(i).encode(), b"")) for i in range(3)])
    batch = a.take()

    assert (batch.resume["lsn"], batch.between, batch.at.position) == (140, False, 200)
    assert [row.last for row in rows(batch)] == [False, False]  # the third may be the last: it is held back


def test_a_commit_position_that_equals_the_end_before_it_is_a_transaction_of_its_own():
    a = assembler(start=140)
    feed(a, wire.begin(140), TABLE, wire.insert(OID, (b"1", b"x")), wire.commit(140, 180))

    assert len(rows(a.take())) == 1


def test_a_transaction_that_ended_at_the_saved_place_passes_without_effect():
    a = assembler(start=140)
    feed(a, wire.begin(100), TABLE, wire.insert(OID, (b"1", b"x")), wire.commit(100, 140))
    batch = a.take()

    assert (batch.blocks, batch.at, batch.resume["lsn"]) == ([], None, 140)


def test_a_relation_inside_a_transaction_that_passes_is_remembered():
    a = assembler(start=140)
    feed(a, wire.begin(100), TABLE, wire.commit(100, 140))
    feed(a, wire.begin(150), wire.insert(OID, (b"1", b"x")), wire.commit(150, 180))

    assert len(rows(a.take())) == 1


def test_a_keepalive_moves_resume_only_between_transactions_and_never_back():
    a = assembler(start=10)
    a.keepalive(50)
    a.keepalive(40)
    assert a.resume == 50

    feed(a, wire.begin(100))
    a.keepalive(90)
    assert a.resume == 50


def test_a_message_outside_transactions_moves_resume_and_one_inside_does_not():
    a = assembler()
    feed(a, wire.message(60))
    assert (a.resume, a.news) == (60, True)

    feed(a, wire.begin(100), wire.message(80, transactional=True))
    assert a.resume == 60


def test_what_a_key_image_lacks_is_unsent_and_not_null():
    a = assembler()
    feed(a, wire.begin(1), TABLE)
    feed(a, wire.update(OID, (b"2", b"x"), key=(b"1", None)), wire.delete(OID, key=(b"2", None)), wire.commit(1, 2))
    changed, deleted = rows(a.take())

    assert (changed.before, changed.after, changed.key_change) == ((b"1", UNSENT), (b"2", b"x"), True)
    assert (deleted.before, deleted.after) == ((b"2", UNSENT), None)


def test_an_update_without_an_old_image_has_no_before_and_keeps_its_key():
    a = assembler()
    feed(a, wire.begin(1), TABLE, wire.update(OID, (b"1", UNSENT)), wire.commit(1, 2))
    [row] = rows(a.take())

    assert (row.before, row.after, row.key_change) == (None, (b"1", UNSENT), False)


def test_a_full_old_image_fills_what_was_not_sent_anew():
    a = assembler()
    feed(a, wire.begin(1), TABLE, wire.update(OID, (b"1", UNSENT), old=(b"1", b"long")), wire.commit(1, 2))
    [row] = rows(a.take())

    assert (row.before, row.after) == ((b"1", b"long"), (b"1", b"long"))


def test_a_toasted_key_is_filled_from_the_key_image():
    a = assembler()
    feed(a, wire.begin(1), TABLE, wire.update(OID, (UNSENT, b"x"), key=(b"long", None)), wire.commit(1, 2))
    [row] = rows(a.take())

    assert (row.after, row.key_change) == ((b"long", b"x"), False)


def test_a_hole_in_an_old_image_fills_nothing():
    a = assembler()
    feed(a, wire.begin(1), TABLE, wire.update(OID, (b"1", UNSENT), old=(b"2", None)), wire.commit(1, 2))

    assert rows(a.take())[0].after == (b"1", UNSENT)


def test_a_truncate_reaches_every_table_it_names_and_only_ours():
    other = wire.relation(8, [(True, "id", 25, -1)], name="other")
    foreign = wire.relation(9, [(True, "id", 25, -1)], name="foreign")
    a = assembler(following=lambda r, u: None if r.name == "foreign" else follow(r, u))
    feed(a, wire.begin(1), TABLE, other, foreign, wire.truncate(OID, 8, 9), wire.commit(1, 2))

    assert [(row.op, row.table.name, row.last) for row in rows(a.take())] == [
        (Op.TRUNCATE, "t", True),
        (Op.TRUNCATE, "other", True),
    ]


def test_a_new_relation_message_makes_a_new_version():
    a = assembler()
    feed(a, wire.begin(1), TABLE, wire.insert(OID, (b"1", b"x")))
    feed(a, wire.relation(OID, [(True, "id", 25, -1)]), wire.insert(OID, (b"2",)), wire.commit(1, 2))

    assert [len(row.table.columns) for row in rows(a.take())] == [2, 1]


def test_rows_behind_a_loss_stay_out_of_the_batch_that_reports_it():
    lost = iter([None, "column v changed its type", None])
    a = assembler(following=lambda r, u: Followed("public.t", schema_of(r), next(lost)))
    feed(a, wire.begin(1), TABLE, wire.insert(OID, (b"1", b"x")))
    feed(a, TABLE, wire.insert(OID, (b"2", b"y")), wire.commit(1, 2))
    batch = a.take()
    feed(a, wire.begin(3), wire.insert(OID, (b"3", b"z")), wire.commit(3, 4))

    assert ([row.after[0] for row in rows(batch)], batch.lost) == ([b"1"], {"public.t": "column v changed its type"})
    assert [row.after[0] for row in rows(a.take())] == [b"3"]


ENUM = wire.relation(OID, [(True, "id", 25, -1), (False, "mood", 1, -1)])


def test_a_label_that_the_version_lacks_makes_a_new_version_before_its_row():
    def refreshed(relation, unknown):
        return Followed("public.t", schema_of(relation, ("sad", *unknown.values())))

    a = assembler(following=refreshed)
    feed(a, wire.begin(1), ENUM, wire.insert(OID, (b"1", b"sad")), wire.insert(OID, (b"2", b"ok")))
    feed(a, wire.insert(OID, (b"3", None)), wire.update(OID, (b"4", UNSENT)), wire.commit(1, 2))

    labels = [row.table.columns[1].type.allowed for row in rows(a.take())]
    assert labels == [("sad",), ("sad", "ok"), ("sad", "ok"), ("sad", "ok")]


def test_a_revision_asks_for_the_version_again():
    asked = []
    a = assembler(following=lambda r, u: asked.append(r.name) or follow(r, u))
    feed(a, wire.begin(1), TABLE, wire.insert(OID, (b"1", b"x")), wire.insert(OID, (b"2", b"x")))
    a.revise()
    feed(a, wire.insert(OID, (b"3", b"x")), wire.commit(1, 2))

    assert asked == ["t", "t"]


def test_a_row_of_a_table_that_was_not_announced_is_refused():
    a = assembler()
    feed(a, wire.begin(1))
    with pytest.raises(ProtocolError):
        a.feed(wire.insert(99, (b"1",)))


def test_origins_and_types_are_passed_over_and_unknown_messages_refused():
    a = assembler()
    feed(a, b"O\0\0\0\0\0\0\0\0x\0", b"Y\0\0\0\1public\0mood\0")
    with pytest.raises(ProtocolError):
        a.feed(b"?")


@given(
    sizes=st.lists(st.integers(0, 4), max_size=8),
    takes=st.sets(st.integers(0, 60)),
    restart=st.integers(0, 60),
)
def test_a_restart_at_the_resume_point_gives_every_row_once(sizes, takes, restart):
    """Wherever batches are cut and whenever capture starts again, the durable rows and the rest are all rows, once."""
    stream = [TABLE]
    expected = []
    for n, size in enumerate(sizes):
        values = [(f"{n}.{i}".encode(), b"") for i in range(size)]
        expected += [value[0] for value in values]
        stream += [wire.begin(10 * n), *[wire.insert(OID, value) for value in values], wire.commit(10 * n, 10 * n + 10)]
    first, read, durable, resume = assembler(), [], [], 0
    for step, data in enumerate(stream):
        if step == restart:
            break
        first.feed(data)
        if step in takes:
            batch = first.take()
            read += rows(batch)
            if batch.between:
                durable, resume = list(read), batch.resume["lsn"]
    second = assembler(start=resume)
    feed(second, *stream)

    assert expected == [row.after[0] for row in [*durable, *rows(second.take())]]
