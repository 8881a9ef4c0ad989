"""The stream of a real server: order, images, positions, and what it says when history is gone."""

from __future__ import annotations

import pytest

from capture.source import SourceError, SourceUnavailable
from capture.sources.postgres.checks import check, warnings
from capture.sources.postgres.teardown import teardown
from runtime.config import Owned, Selection
from runtime.errors import Refused
from schemas.block import UNSENT, Op
from tests.support.postgres_source import Database
from tests.support.sources import changes, found, read_all, started

pytestmark = pytest.mark.live


@pytest.fixture
def db(source_db, pipeline_name):
    return Database(source_db, pipeline_name)


def images(batch, table=None):
    return [(e.op, e.before, e.after) for e in changes(batch, table)]


def test_changes_come_in_order_with_their_images_and_one_end_mark(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with started(db.source()) as source:
        db.run("INSERT INTO t VALUES (1, 'a'); UPDATE t SET v = NULL; UPDATE t SET id = 2; DELETE FROM t; TRUNCATE t")
        batch = read_all(source)

    assert images(batch) == [
        (Op.CREATE, None, (b"1", b"a")),
        (Op.UPDATE, None, (b"1", None)),
        (Op.UPDATE, (b"1", UNSENT), (b"2", None)),
        (Op.DELETE, (b"2", UNSENT), None),
        (Op.TRUNCATE, None, None),
    ]
    assert [e.last for e in changes(batch)] == [False, False, False, False, True]
    assert [e.key_change for e in changes(batch)] == [False, False, True, False, False]


def test_neighbouring_transactions_keep_positions_of_their_own(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        for i in range(20):
            db.run(f"INSERT INTO t VALUES ({i})")
        positions = [e.order.position for e in changes(read_all(source))]

    assert positions == sorted(set(positions))
    assert len(positions) == 20


def test_an_unchanged_toasted_value_is_unsent_unless_the_identity_is_full(db):
    db.run("CREATE TABLE part (id int PRIMARY KEY, n int, big text)", "CREATE TABLE whole (LIKE part INCLUDING ALL)")
    db.run("ALTER TABLE whole REPLICA IDENTITY FULL")
    for table in ("part", "whole"):
        db.run(f"ALTER TABLE {table} ALTER big SET STORAGE EXTERNAL")
    with started(db.source()) as source:
        for table in ("part", "whole"):
            db.run(f"INSERT INTO {table} VALUES (1, 1, repeat('x', 9000))", f"UPDATE {table} SET n = 2")
            db.run(f"UPDATE {table} SET id = 5")
        batch = read_all(source)

    big = b"x" * 9000
    assert images(batch, "part")[1:] == [
        (Op.UPDATE, None, (b"1", b"2", UNSENT)),
        (Op.UPDATE, (b"1", UNSENT, UNSENT), (b"5", b"2", UNSENT)),
    ]
    assert images(batch, "whole")[1:] == [
        (Op.UPDATE, (b"1", b"1", big), (b"1", b"2", big)),
        (Op.UPDATE, (b"1", b"2", big), (b"5", b"2", big)),
    ]


def test_the_replica_identity_by_index_is_the_key_unless_it_holds_the_primary_key(db):
    db.run(
        "CREATE TABLE other (id int PRIMARY KEY, code text NOT NULL, v int); CREATE UNIQUE INDEX o ON other (code)",
        "CREATE TABLE wide (id int PRIMARY KEY, code text NOT NULL, v int); CREATE UNIQUE INDEX w ON wide (code, id)",
        "ALTER TABLE other REPLICA IDENTITY USING INDEX o; ALTER TABLE wide REPLICA IDENTITY USING INDEX w",
    )
    with started(db.source()) as source:
        db.run("INSERT INTO other VALUES (1, 'a', 1); UPDATE other SET id = 2; DELETE FROM other")
        db.run("INSERT INTO wide VALUES (1, 'a', 1)")
        batch = read_all(source)

    [other, *_], [wide] = changes(batch, "other"), changes(batch, "wide")
    assert [other.table.columns[i].name for i in other.table.key] == ["code"]
    assert [wide.table.columns[i].name for i in wide.table.key] == ["id"]
    assert images(batch, "other")[1:] == [
        (Op.UPDATE, None, (b"2", b"a", b"1")),
        (Op.DELETE, (UNSENT, b"a", UNSENT), None),
    ]


def test_a_table_whose_changes_would_fail_is_never_published(db):
    db.run(
        "CREATE TABLE keyless (v int)",
        "CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)",
        "CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING",
        "CREATE TABLE fine (id int PRIMARY KEY)",
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)",
    )
    with started(db.source()) as source:
        tables = {table.table: table for table in source.tables()}
        db.run("INSERT INTO keyless VALUES (1); UPDATE keyless SET v = 2; UPDATE deferred SET id = 3")

    assert {name for name, table in tables.items() if table.reason is None} == {"fine"}
    for name in ("keyless", "deferred", "nothing"):
        db.run(tables[name].fix)
    assert tables["unlogged"].fix == 'ALTER TABLE "public"."unlogged" SET LOGGED;'
    with started(db.source()) as source:
        usable = {table.table: table.keyless for table in source.tables() if table.reason is None}
    assert usable == {"fine": False, "keyless": True, "deferred": False, "nothing": False}


def test_managed_identities_are_set_and_the_table_is_captured(db):
    db.run("CREATE TABLE keyless (v int)")
    with started(db.source(replica_identity="manage")) as source:
        assert found(source, "keyless").reason is None
        db.run("INSERT INTO keyless VALUES (1); UPDATE keyless SET v = 2")
        assert images(read_all(source)) == [(Op.CREATE, None, (b"1",)), (Op.UPDATE, (b"1",), (b"2",))]


def test_a_large_transaction_comes_in_pieces_and_resumes_at_its_start(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        before = read_all(source).resume["lsn"]
        db.run("INSERT INTO t SELECT generate_series(1, 5000)")
        pieces = []
        while not any(e.last for piece in pieces for e in changes(piece)):
            pieces.append(source.read(500, 10))

    inside = [piece for piece in pieces if not piece.between]
    assert len(inside) > 2
    assert all(before <= piece.resume["lsn"] < piece.at.position for piece in inside)
    rows = [e for piece in pieces for e in changes(piece)]
    assert [int(e.after[0]) for e in rows] == list(range(1, 5001))
    assert [e.order.ordinal for e in rows] == list(range(0, 10_000, 2))
    assert [e.last for e in rows] == [False] * 4999 + [True]


def test_a_restart_inside_a_large_transaction_resumes_where_it_was_told_until_the_end(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0)")
    with started(db.source()) as source:
        db.run("UPDATE t SET id = -1")
        saved, identity = read_all(source).resume, source.identity
    db.run("INSERT INTO t SELECT generate_series(1, 5000)")
    with started(db.source(), saved, identity) as source:
        while (piece := source.read(500, 10)).between:
            pass
        begun = piece.resume
        while not (piece := source.read(500, 10)).between:
            assert piece.resume == begun
        assert begun["remembered"]["tables"]
        assert begun["lsn"] < piece.resume["lsn"]
    with started(db.source(), begun, identity) as source:
        assert [e.after for e in changes(read_all(source))] == [(str(i).encode(),) for i in range(1, 5001)]


def test_a_mark_lies_behind_what_was_committed_without_being_flushed(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "SET synchronous_commit = off")
    with started(db.source()) as source:
        for i in range(20):
            db.run(f"INSERT INTO t VALUES ({i})")
            assert [e.after for e in changes(read_all(source))] == [(str(i).encode(),)]


def test_a_restart_at_a_confirmed_place_gives_the_rest_and_nothing_twice(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        identity = source.identity
        db.run("INSERT INTO t VALUES (1)")
        first = read_all(source)
        source.confirm(first.resume)
        db.run("INSERT INTO t VALUES (2)")
        read_all(source)  # read, but never saved
    with started(db.source(), first.resume, identity) as source:
        db.run("INSERT INTO t VALUES (3)")
        assert [e.after for e in changes(read_all(source))] == [(b"2",), (b"3",)]


def test_an_idle_stream_passes_a_mark_and_its_log_can_be_dropped(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source(heartbeat_seconds=0.05)) as source:
        batch = read_all(source)
        source.confirm(batch.resume)
        first = batch.resume["lsn"]
        while (batch := source.read(10, 0.1)).resume["lsn"] <= first:
            pass
        source.confirm(batch.resume)
        read_all(source)
        confirmed = db.value(
            f"SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{db.name}'"
        )
    assert int(confirmed) == batch.resume["lsn"]
    assert batch.blocks == []


def test_the_server_never_hears_of_more_than_was_confirmed(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        start = read_all(source).resume
        source.confirm(start)
        db.run("INSERT INTO t SELECT generate_series(1, 100)")
        read_all(source)
        source.keep_alive()
        query = f"SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{db.name}'"
        assert int(db.value(query)) <= start["lsn"]


def test_a_broken_stream_is_worth_another_try(db):
    with started(db.source()) as source:
        db.run(f"SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = '{db.name}'")
        with pytest.raises(SourceUnavailable):
            read_all(source)


IMPATIENT_MS = 3_000


def impatient(db):
    """A source whose server gives a silent reader up soon."""
    return db.source(url=f"{db.url}?options=-c%20wal_sender_timeout%3D{IMPATIENT_MS}")


def test_a_stream_that_nobody_reads_lives_as_long_as_it_is_kept_alive(db):
    with started(impatient(db)) as source:
        read_all(source)
        for _ in range(IMPATIENT_MS // 100 + 10):
            db.value("SELECT pg_sleep(0.1)::text")
            source.keep_alive()
        read_all(source)


def test_a_stream_that_nobody_reads_and_keeps_alive_is_ended_by_the_server(db):
    with started(impatient(db)) as source:
        read_all(source)
        wait_released(db)
        with pytest.raises(SourceUnavailable):
            read_all(source)


def test_what_a_dba_owns_must_be_there_and_is_left_alone(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    owned = {"slot": Owned(name=db.name, create=False), "publication": Owned(name=db.name, create=False)}
    with pytest.raises(SourceError, match="publication") as refused, started(db.source(**owned)):
        pass
    db.run(refused.value.fix)
    with pytest.raises(SourceError, match="slot") as refused, started(db.source(**owned)):
        pass
    db.run(refused.value.fix, f"ALTER PUBLICATION {db.name} ADD TABLE t")

    with started(db.source(**owned)) as source:
        assert [table.table for table in source.tables() if table.reason is None] == ["t"]
        db.run(found(source, "u").fix)
        assert found(source, "u").reason is None
    assert teardown(db.config(**owned)) == []


def test_a_table_that_was_taken_out_of_the_publication_has_lost_its_changes(db):
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    with started(db.source()) as source:
        read_all(source)
        db.run(f"ALTER PUBLICATION {db.name} DROP TABLE t", "INSERT INTO t VALUES (1)")
        source.publish(source.tables())
        assert list(read_all(source).lost) == ["public.t"]


def test_odd_names_are_published_read_and_spelled(db):
    names = ['Odd "name', "semi;colon", "ünï", "select", "a.b", "%s", "\\", "new\nline"]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        db.run(f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY)")
    with started(db.source()) as source:
        assert {table.table for table in source.tables() if table.reason is None} == set(names)
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            db.run(f"INSERT INTO {quoted} VALUES (1)")
        assert [e.table.columns[0].name for e in changes(read_all(source))] == names


def test_teardown_takes_away_slot_and_publication_once(db):
    with started(db.source()) as source:
        read_all(source)
    assert len(teardown(db.config())) == 2
    assert teardown(db.config()) == []
    assert db.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 0


def test_check_finds_what_is_wrong_with_the_tables_and_nothing_else(db):
    db.run("CREATE TABLE fine (id int PRIMARY KEY); CREATE TABLE keyless (v int)")
    selection = Selection.model_validate([{"include": "public.*"}])
    faults = check(db.config(), selection)

    assert [(fault.where, fault.fix) for fault in faults] == [
        ("public.keyless", 'ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL;')
    ]
    db.run(faults[0].fix)
    assert check(db.config(), selection) == []
    assert "max_slot_wal_keep_size" in warnings(db.config())[0].what


def test_check_names_every_privilege_that_a_plain_role_lacks(db):
    role = f"r_{db.name[-8:]}"
    db.run("CREATE TABLE t (id int PRIMARY KEY)", f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        config = db.config(url=with_role(db.url, role))
        whats = [fault.what for fault in check(config, Selection.model_validate([{"include": "public.*"}]))]
        assert [role in what for what in whats] == [True, True, True]
        assert ["replicate" in whats[0], "publication" in whats[1], "read" in whats[2]] == [True, True, True]
    finally:
        db.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_privileges_that_are_revoked_in_the_middle_of_the_stream_are_told_and_cost_no_change(db):
    role = f"r_{db.name[-8:]}"
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    db.run(
        f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'x'", f"GRANT SELECT ON t, u TO {role}",
        f"CREATE PUBLICATION {db.name} FOR TABLE t, u WITH (publish_via_partition_root = true)",
    )  # fmt: skip
    settings = {"url": with_role(db.url, role), "publication": Owned(name=db.name, create=False)}
    try:
        with started(db.source(**settings)) as source:
            saved, identity = read_all(source).resume, source.identity
            db.run(f"REVOKE SELECT ON t FROM {role}", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1)")
            refused = found(source, "t")
            assert f"role {role} may not read it" in refused.reason
            assert found(source, "u").reason is None
            batch = read_all(source)
            assert (len(changes(batch, "t")), len(changes(batch, "u")), batch.lost) == (1, 1, {})
            db.run(refused.fix)
            assert found(source, "t").reason is None
            db.run(f"ALTER ROLE {role} NOREPLICATION", "INSERT INTO t VALUES (2)")
            assert len(changes(read_all(source), "t")) == 1
        wait_released(db)
        with pytest.raises(Refused) as stopped, started(db.source(**settings)):
            pass
        assert "REPLICATION" in stopped.value.fix
        db.run(f"ALTER ROLE {role} REPLICATION")
        with started(db.source(**settings), saved, identity) as source:
            assert [e.after for e in changes(read_all(source), "t")] == [(b"1",), (b"2",)]
    finally:
        db.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def with_role(url, role):
    head, _, tail = url.partition("://")
    return f"{head}://{role}:x@{tail.rpartition('@')[2]}"


def wait_released(db):
    """A closed connection's slot is free as soon as the server has noticed."""
    query = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{db.name}' AND active"
    while db.value(query):
        pass
