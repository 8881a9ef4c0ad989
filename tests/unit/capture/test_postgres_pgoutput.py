"""The decoder of pgoutput reads what the server writes, and refuses everything else without quoting it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres import pgoutput
from capture.sources.postgres.pgoutput import ProtocolError, Relation, RelationColumn
from schemas.block import UNSENT
from tests.support import postgres_messages as wire

values = st.none() | st.binary(max_size=40)
rows = st.lists(values | st.just(UNSENT), max_size=8).map(tuple)
full_rows = st.lists(values, max_size=8).map(tuple)
oids = st.integers(1, 2**32 - 1)
lsns = st.integers(0, 2**64 - 1)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=63)


@given(oid=oids, new=rows)
def test_an_insert_comes_back_as_it_was_written(oid, new):
    images = pgoutput.insert(wire.insert(oid, new))

    assert (oid, None, new, UNSENT in new) == (images.oid, images.old, images.new, images.partial)


@given(oid=oids, new=rows, old=full_rows, full=st.booleans())
def test_an_update_says_whether_its_old_row_is_whole(oid, new, old, full):
    images = pgoutput.update(wire.update(oid, new, **({"old": old} if full else {"key": old})))

    assert (oid, full, old, new) == (images.oid, images.full, images.old, images.new)


@given(oid=oids, new=rows)
def test_an_update_without_an_old_row_has_none(oid, new):
    assert pgoutput.update(wire.update(oid, new)).old is None


@given(oid=oids, old=full_rows, full=st.booleans())
def test_a_delete_has_an_old_row_and_no_new_one(oid, old, full):
    images = pgoutput.delete(wire.delete(oid, **({"old": old} if full else {"key": old})))

    assert (oid, full, old, None) == (images.oid, images.full, images.old, images.new)


@given(position=lsns, xid=st.integers(0, 2**32 - 1), committed=st.integers(-(2**62), 2**62))
def test_a_begin_holds_the_commit_position_and_the_time_since_1970(position, xid, committed):
    assert (position, committed, xid) == pgoutput.begin(wire.begin(position, xid, committed))


@given(position=lsns, end=lsns)
def test_a_commit_keeps_its_position_and_its_end_apart(position, end):
    assert (position, end) == pgoutput.commit(wire.commit(position, end))


@given(position=lsns, transactional=st.booleans(), content=st.binary(max_size=20))
def test_of_a_message_only_the_head_is_read(position, transactional, content):
    data = wire.message(position, transactional=transactional, content=content)

    assert (transactional, position) == pgoutput.message(data)


@given(
    oid=oids, namespace=names.filter(bool), name=names, identity=st.sampled_from("dnfi"),
    columns=st.lists(st.tuples(st.booleans(), names, oids, st.integers(-1, 2**31 - 1)), max_size=6),
)  # fmt: skip
def test_a_relation_comes_back_with_columns_in_order(oid, namespace, name, identity, columns):
    data = wire.relation(oid, columns, namespace=namespace, name=name, identity=identity)

    expected = Relation(oid, namespace, name, identity, tuple(RelationColumn(*c) for c in columns))
    assert expected == pgoutput.relation(data)


def test_an_empty_namespace_is_that_of_the_server_itself():
    assert pgoutput.relation(wire.relation(1, [], namespace="")).namespace == "pg_catalog"


@given(relations=st.lists(oids, max_size=5))
def test_a_truncate_lists_all_its_tables(relations):
    assert tuple(relations) == pgoutput.truncate(wire.truncate(*relations, options=3)).relations


COMPLETE = [
    (pgoutput.begin, wire.begin(7)),
    (pgoutput.commit, wire.commit(7, 8)),
    (pgoutput.insert, wire.insert(1, (b"a", None, UNSENT))),
    (pgoutput.update, wire.update(1, (b"a",), key=(b"b",))),
    (pgoutput.delete, wire.delete(1, old=(b"secret",))),
    (pgoutput.truncate, wire.truncate(1, 2)),
    (pgoutput.relation, wire.relation(1, [(True, "id", 23, -1)])),
]


@pytest.mark.parametrize(("read", "data"), COMPLETE, ids=lambda p: getattr(p, "__name__", ""))
def test_a_message_that_ends_early_is_refused_wherever_it_ends(read, data):
    for length in range(1, len(data)):
        with pytest.raises(ProtocolError) as refused:
            read(data[:length])
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("read", "data"), COMPLETE[:6], ids=lambda p: getattr(p, "__name__", ""))
def test_a_message_with_bytes_behind_its_end_is_refused(read, data):
    with pytest.raises(ProtocolError):
        read(data + b"\0")


def test_a_binary_value_is_refused_because_text_was_asked_for():
    binary = wire.insert(1, (b"a",)).replace(b"t\0", b"b\0")

    with pytest.raises(ProtocolError):
        pgoutput.insert(binary)
