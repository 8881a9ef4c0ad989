"""A table that is altered: its versions in the stream, equal to those of chunks, and the changes that lose it."""

from __future__ import annotations

import pytest

from schemas.block import Op
from tests.support.postgres_source import Database
from tests.support.sources import changes, chunk_rows, found, read_all, read_chunk, started

pytestmark = pytest.mark.live

LOST = {
    "ALTER TABLE t RENAME v TO w": "column v was renamed to w",
    "ALTER TABLE t ALTER v TYPE int USING length(v)": "column v changed its type",
    "ALTER TABLE t ADD w serial": "column w was added with a default",
    "ALTER TABLE t ADD w uuid DEFAULT gen_random_uuid()": "column w was added with a default",
    "ALTER TABLE t DROP v; ALTER TABLE t ADD v text": "column v was dropped and added again",
    "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, k)": "its key was changed",
    "ALTER TABLE t RENAME id TO ident": "its key was changed",
}
KEPT = [
    "ALTER TABLE t ADD w int DEFAULT 5",
    "ALTER TABLE t ADD w text",
    "ALTER TABLE t DROP v",
    "ALTER TABLE t ALTER v TYPE text",
    "ALTER TABLE t ALTER id TYPE bigint",
    "ALTER TABLE t ALTER id TYPE bigint, ALTER v TYPE text",
    "ALTER TABLE t ALTER v TYPE varchar(30)",
    "ALTER TABLE t ALTER v SET NOT NULL",
    "ALTER TABLE t ALTER v SET STATISTICS 7",
    "ALTER TABLE t REPLICA IDENTITY FULL",
    "VACUUM FULL t",
]
#: No name changes, and no type but to a wider one, so no row of the stream can tell.
REWRITTEN = [
    "ALTER TABLE t ALTER v TYPE varchar(20) USING upper(v)",
    "ALTER TABLE t ALTER k TYPE int USING k + 1",
    "ALTER TABLE t ALTER v TYPE varchar(30) USING upper(v)",
    "ALTER TABLE t ALTER v TYPE text USING upper(v)",
]


@pytest.fixture
def db(source_db, pipeline_name):
    database = Database(source_db, pipeline_name)
    database.run(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(20), k int NOT NULL DEFAULT 1)", "INSERT INTO t VALUES (1, 'a')"
    )
    return database


def touch(db):
    db.run("UPDATE t SET k = k + 1")


@pytest.mark.parametrize(("ddl", "reason"), LOST.items())
def test_a_change_that_rewrites_rows_without_a_word_in_the_log_loses_the_table(db, ddl, reason):
    with started(db.source()) as source:
        touch(db)
        read_all(source)
        db.run(*ddl.split("; "))
        touch(db)
        lost = read_all(source).lost

    assert list(lost) == ["public.t"]
    assert lost["public.t"].startswith(reason)


@pytest.mark.parametrize(("ddl", "reason"), LOST.items())
def test_such_a_change_is_noticed_also_when_capture_was_down(db, ddl, reason):
    with started(db.source()) as source:
        source.schema(found(source, "t"))  # as a snapshot opens
        saved, identity = read_all(source).resume, source.identity
        assert source.read(10, 0).resume == saved
    db.run(*ddl.split("; "))
    touch(db)
    with started(db.source(), saved, identity) as source:
        lost = read_all(source).lost

    assert lost["public.t"].startswith(reason)


@pytest.mark.parametrize(("ddl", "reason"), [item for item in LOST.items() if "PRIMARY KEY" not in item[0]])
def test_such_a_change_is_noticed_without_any_row_that_tells_of_it(db, ddl, reason):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        read_all(source)
        db.run(*ddl.split("; "))
        source.tables()
        assert read_all(source).lost["public.t"].startswith(reason)


@pytest.mark.parametrize("ddl", KEPT)
def test_a_look_at_the_catalog_takes_nothing_from_a_table_that_was_altered_without_loss(db, ddl):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        read_all(source)
        for statement in ddl.split("; "):
            db.run(statement)
            source.tables()
        assert read_all(source).lost == {}


@pytest.mark.parametrize("ddl", REWRITTEN)
def test_values_that_were_rewritten_in_their_own_type_lose_the_table(db, ddl):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        read_all(source)
        db.run(ddl)
        source.tables()
        assert "altered and the table rewritten" in read_all(source).lost["public.t"]


def test_values_that_were_rewritten_in_their_own_type_while_capture_was_down_lose_the_table(db):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        saved, identity = read_all(source).resume, source.identity
    db.run(REWRITTEN[0])
    with started(db.source(), saved, identity) as source:
        assert "altered and the table rewritten" in read_all(source).lost["public.t"]


def test_a_rewrite_that_puts_a_default_from_the_catalog_into_the_rows_is_no_loss(db):
    with started(db.source()) as source:
        db.run("ALTER TABLE t ADD w int DEFAULT 5")
        source.schema(found(source, "t"))
        read_all(source)
        db.run("VACUUM FULL t", "TRUNCATE t")
        source.tables()
        assert read_all(source).lost == {}


def test_what_a_new_snapshot_has_read_is_no_loss(db):
    with started(db.source()) as source:
        source.schema(found(source, "t"))
        db.run(REWRITTEN[0])
        source.schema(found(source, "t"))
        read_all(source)
        source.tables()
        assert read_all(source).lost == {}


def test_a_default_that_a_rewrite_made_unknown_is_a_loss_although_it_was_known_once(db):
    with started(db.source()) as source:
        touch(db)
        read_all(source)
        db.run("ALTER TABLE t ADD w int DEFAULT 5")
        source.tables()
        db.run("VACUUM FULL t")
        touch(db)
        assert read_all(source).lost["public.t"].startswith("column w was added with a default")


@pytest.mark.parametrize("ddl", KEPT)
def test_any_other_change_makes_a_version_equal_to_that_of_a_chunk(db, ddl, tmp_path):
    with started(db.source()) as source:
        touch(db)
        read_all(source)
        db.run(ddl)
        touch(db)
        batch = read_all(source)
        chunk = read_chunk(source, found(source, "t"), tmp_path)

        assert batch.lost == {}
        assert batch.blocks[-1].table == chunk.schema
        assert [event.after for event in changes(batch)][-1] == chunk_rows(source, chunk)[0]


def test_a_column_added_with_a_constant_carries_it_for_older_rows(db):
    with started(db.source()) as source:
        db.run(
            "ALTER TABLE t ADD n numeric(4,1) DEFAULT 2.5, ADD s text DEFAULT 'a,\"b', ADD d timestamptz DEFAULT 'epoch'"
        )
        touch(db)
        columns = {column.name: column.missing for column in read_all(source).blocks[-1].table.columns}

    assert columns == {"id": None, "v": None, "k": None, "n": "2.5", "s": 'a,"b', "d": "1970-01-01 00:00:00+00"}


def test_rows_from_before_a_change_have_the_columns_of_then(db):
    with started(db.source()) as source:
        touch(db)
        db.run("ALTER TABLE t DROP v, ADD w int")
        touch(db)
        names = [[column.name for column in event.table.columns] for event in changes(read_all(source))]

    assert names == [["id", "v", "k"], ["id", "k", "w"]]


def test_both_shapes_of_one_transaction_come_in_order(db):
    with started(db.source()) as source:
        touch(db)
        read_all(source)
        with db.conn.transaction():
            db.run("INSERT INTO t VALUES (2, 'b')", "ALTER TABLE t ADD w int", "INSERT INTO t VALUES (3, 'c', 1, 9)")
        rows = changes(read_all(source))

    assert [(event.after, event.order.ordinal, event.last) for event in rows] == [
        ((b"2", b"b", b"1"), 0, False),
        ((b"3", b"c", b"1", b"9"), 2, True),
    ]


def test_a_label_added_to_an_enum_is_in_the_version_of_its_first_row(db):
    db.run("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE e (id int PRIMARY KEY, m mood)")
    with started(db.source()) as source:
        db.run("INSERT INTO e VALUES (1, 'sad')")
        read_all(source)
        db.run("ALTER TYPE mood ADD VALUE 'ok'")
        db.run("INSERT INTO e VALUES (2, 'ok')")
        [event] = changes(read_all(source))

    assert event.table.columns[1].type.allowed == ("sad", "ok")


def test_a_label_that_was_renamed_since_is_still_allowed(db):
    db.run("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE e (id int PRIMARY KEY, m mood)")
    with started(db.source()) as source:
        db.run("INSERT INTO e VALUES (1, 'sad')", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
        [event] = changes(read_all(source))

    assert event.after == (b"1", b"sad")
    assert set(event.table.columns[1].type.allowed) == {"blue", "sad"}


def test_a_new_comment_reaches_the_stream_with_the_next_look_at_the_catalog(db, tmp_path):
    with started(db.source()) as source:
        touch(db)
        read_all(source)
        db.run("COMMENT ON COLUMN t.v IS 'a word'; COMMENT ON TABLE t IS 'all words'")
        table = found(source, "t")
        touch(db)
        version = read_all(source).blocks[-1].table

        assert (version.comment, version.columns[1].comment) == ("all words", "a word")
        assert version == read_chunk(source, table, tmp_path).schema


def test_equal_versions_are_one_object_so_that_rows_stay_in_one_block(db):
    with started(db.source()) as source:
        touch(db)
        db.run("ANALYZE t", "ALTER TABLE t SET (fillfactor = 90)")
        touch(db)
        assert [len(block) for block in read_all(source).blocks] == [2]


def test_rows_of_a_table_made_anew_wait_until_it_was_found(db):
    with started(db.source()) as source:
        db.run("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)", f"ALTER PUBLICATION {db.name} ADD TABLE t")
        db.run("INSERT INTO t VALUES (1)")
        assert changes(read_all(source)) == []
        source.publish(source.tables())
        db.run("INSERT INTO t VALUES (2)")
        assert [(event.op, event.after) for event in changes(read_all(source))] == [(Op.CREATE, (b"2",))]


def test_a_publication_with_columns_and_a_filter_limits_chunk_and_stream_alike(db, tmp_path):
    if db.conn.info.server_version < 150_000:
        pytest.skip("column lists and row filters came with PostgreSQL 15")
    with started(db.source()) as source:
        db.run(f"ALTER PUBLICATION {db.name} SET TABLE t (id, k) WHERE (id > 1)", "INSERT INTO t VALUES (2, 'b')")
        batch = read_all(source)
        chunk = read_chunk(source, found(source, "t"), tmp_path)

        assert [event.after for event in changes(batch)] == [(b"2", b"1")]
        assert chunk_rows(source, chunk) == [(b"2", b"1")]
        assert batch.blocks[-1].table == chunk.schema
