"""What happens to a table in the middle of its snapshot: the live counterparts of docs/snapshot-merge.md's histories.

Capture is made to stand still (SIGSTOP) at a chosen place of the snapshot, something happens at the source, and it goes
on. The target must come out equal, or the table must say that it is not.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support.daemons_pipeline import until
from tests.support.daemons_setting import Servers, Setting, Sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.live

#: Some 16 chunks of a page each; every third row has a value that is stored apart, and pages can take more.
KEYED = """
CREATE TABLE {t} (id int PRIMARY KEY, v text NOT NULL, big text) WITH (fillfactor = 60);
ALTER TABLE {t} ALTER big SET STORAGE EXTERNAL;
INSERT INTO {t} SELECT i, 'v' || i, CASE WHEN i % 3 = 0 THEN repeat(md5(i::text), 300) END
    FROM generate_series(1, 1500) i;
ANALYZE {t}"""
KEYLESS = """
CREATE TABLE {t} (v text, n int);
ALTER TABLE {t} REPLICA IDENTITY FULL;
INSERT INTO {t} SELECT nullif('v' || i % 50, 'v7'), nullif(i % 3, 1) FROM generate_series(1, 1500) i"""

#: Equal rows, NULLs, and changes of one of several equal rows.
CHANGE_KEYLESS = [
    "INSERT INTO {t} SELECT 'twice', NULL FROM generate_series(1, 20)",
    "DELETE FROM {t} WHERE ctid IN (SELECT ctid FROM {t} WHERE v IS NULL LIMIT 7)",
    "UPDATE {t} SET n = 42 WHERE ctid IN (SELECT ctid FROM {t} WHERE v = 'v9' LIMIT 3)",
    "INSERT INTO {t} VALUES (NULL, NULL), (NULL, NULL)",
]

#: By name: the table, and what happens to it in the middle of its snapshot.
STORIES: dict[str, tuple[str, list[str]]] = {
    "changed": (
        KEYED,
        [
            "UPDATE {t} SET v = 'changed' WHERE id % 4 = 0",  # `big` is not sent
            "DELETE FROM {t} WHERE id % 10 = 1",
            "INSERT INTO {t} SELECT i, 'new', 'b' FROM generate_series(2000, 2100) i",
            "UPDATE {t} SET id = -id WHERE id % 7 = 0",  # nor here
            "UPDATE {t} SET big = NULL WHERE id % 11 = 0",
            "BEGIN; DELETE FROM {t} WHERE id = 500; INSERT INTO {t} VALUES (500, 'again', 'x'); COMMIT",
        ],
    ),
    # Rows move to pages that were read already, without their long value: they are in no chunk, and read by key.
    "moved": (
        KEYED,
        [
            "DELETE FROM {t} WHERE ctid < '(2,0)'",
            "VACUUM {t}",
            "UPDATE {t} SET v = 'moved to the front' WHERE id > 1200",
            "UPDATE {t} SET id = id + 10000 WHERE id > 1300",
        ],
    ),
    "swapped": (
        KEYED,
        [
            (
                "BEGIN; UPDATE {t} SET id = -1 WHERE id = 3; UPDATE {t} SET id = 3 WHERE id = 1500;"
                "UPDATE {t} SET id = 1500 WHERE id = -1; COMMIT"
            )
        ],
    ),
    "truncated": (KEYED, ["TRUNCATE {t}", "INSERT INTO {t} SELECT i, 'after', NULL FROM generate_series(1, 300) i"]),
    "vacuumed": (
        KEYED,
        ["DELETE FROM {t} WHERE id % 2 = 0", "VACUUM FULL {t}", "UPDATE {t} SET v = 'later' WHERE id % 5 = 0"],
    ),
    **{
        f"column_{i}": (
            KEYED,
            [
                "UPDATE {t} SET v = 'before' WHERE id % 5 = 0",
                f"BEGIN; ALTER TABLE {{t}} ADD COLUMN {column}; UPDATE {{t}} SET v = 'after' WHERE id % 7 = 0; COMMIT",
                "INSERT INTO {t} (id, v) VALUES (9000, 'new')",
            ],
        )
        for i, column in enumerate(["w text DEFAULT 'older rows'", "w int NOT NULL DEFAULT 7", "w text"])
    },
    "widened": (
        KEYED,
        ["ALTER TABLE {t} ALTER id TYPE bigint", "UPDATE {t} SET id = id + 5000000000 WHERE id % 2 = 0"],
    ),
    "great": (
        KEYED,
        [
            (
                "BEGIN; INSERT INTO {t} SELECT i, 'mass', NULL FROM generate_series(10000, 20000) i;"
                "UPDATE {t} SET v = 'mass' WHERE id % 3 = 0; COMMIT"
            )
        ],
    ),
    "keyless": (KEYLESS, CHANGE_KEYLESS),
    "keyless_column": (KEYLESS, ["ALTER TABLE {t} ADD COLUMN w int DEFAULT 3", *CHANGE_KEYLESS[1:3]]),
    "keyless_truncated": (KEYLESS, ["TRUNCATE {t}", *CHANGE_KEYLESS]),
}

#: Where the snapshot stands still: nothing read yet, with the first chunk read, and with some published.
OPENED, READ, PUBLISHED = "capture.opened=stop@1", "capture.chunk_read=stop@1", "capture.chunk_published=stop@3"
PLACES = [pytest.param(OPENED, marks=pytest.mark.slow), pytest.param(READ, marks=pytest.mark.slow), PUBLISHED]


#: Chunks that are being read, those that wait for their table, and whether the log was sent to its end.
READING = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '% snapshot' AND state <> 'idle'"
WAITING = f"{READING} AND wait_event_type = 'Lock'"
SENT = (
    "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), sent_lsn) <= 0 FROM pg_stat_replication r "
    "JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.database = current_database()"
)


@pytest.fixture(scope="module")
def shared(
    kafka: str, source_server: str, target_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sweep]:
    servers = Servers(kafka, source_server, target_server)
    made = Sweep(servers, tmp_path_factory.mktemp("loading"), "loading", source={"snapshot": {"chunk_rows": 40}})
    yield made
    made.close()


@contextmanager
def loading(shared: Sweep, tables: dict[str, str], place: str) -> Iterator[tuple[Setting, psycopg.Connection[Any]]]:
    """Stand still at a place in the snapshots of new tables; go on after the context, and wait for equality."""
    with shared.round() as setting, psycopg.connect(setting.pipeline.source, autocommit=True) as source:
        pipeline = setting.pipeline
        run(source, (text.replace("{t}", name) for name, text in tables.items()))
        pipeline.start(capture=place)
        pipeline.capture.wait_for_stop_at(place.partition("=")[0])
        yield setting, source
        pipeline.capture.thaw()
        setting.settle()
        pipeline.assert_restart_applies_nothing()
        pipeline.stop()
        drop = f"DROP TABLE {', '.join(tables)}"
        source.execute(drop)
        with psycopg.connect(pipeline.target) as target:
            target.execute(drop)


def run(source: psycopg.Connection[Any], statements: Iterable[str]) -> None:
    for text in statements:
        for statement in text.split(";"):
            source.execute(statement)


@pytest.mark.parametrize("place", PLACES)
def test_whatever_happens_to_tables_in_the_middle_of_their_snapshots_arrives(shared: Sweep, place: str) -> None:
    """All stories at once, so that it takes little time; the slow tests tell them one by one."""
    with loading(shared, {name: table for name, (table, _) in STORIES.items()}, place) as (_, source):
        for name, (_, statements) in STORIES.items():
            run(source, (text.replace("{t}", name) for text in statements))


@pytest.mark.slow
@pytest.mark.parametrize("place", [OPENED, READ, PUBLISHED])
@pytest.mark.parametrize("name", STORIES)
def test_what_happens_to_a_table_in_the_middle_of_its_snapshot_arrives(shared: Sweep, name: str, place: str) -> None:
    table, statements = STORIES[name]
    # A keyless table is one chunk.
    place = place.replace("@3", "@1") if table is KEYLESS else place
    with loading(shared, {name: table}, place) as (_, source):
        run(source, (text.replace("{t}", name) for text in statements))


def test_rows_that_move_to_pages_that_were_read_already_are_read_by_key(shared: Sweep) -> None:
    """They are in no chunk, and their events leave the long value unsent."""
    with loading(shared, {"moved": KEYED}, "capture.chunk_published=stop@8") as (_, source):
        until(
            lambda: source.execute(READING).fetchone() == (0,), "no chunk is being read: VACUUM spares what it may see"
        )
        run(source, (text.replace("{t}", "moved") for text in STORIES["moved"][1]))
        moved = source.execute("SELECT count(*) FROM moved WHERE ctid < '(2,0)' AND big IS NOT NULL").fetchone()
        assert moved is not None
        assert moved[0] > 20


@pytest.mark.parametrize("name", ["changed", "column_0"])
def test_what_happens_after_chunks_were_read_and_before_they_came_in_is_laid_over_them(
    shared: Sweep, name: str
) -> None:
    """The daemon stands still while its workers read; the log goes on before they have read, so it reads that first."""
    table, statements = STORIES[name]
    with loading(shared, {name: table}, "capture.chunk_published=stop@1") as (setting, source):
        capture = setting.pipeline.capture
        with psycopg.connect(setting.pipeline.source) as holder:
            holder.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
            capture.thaw()
            until(lambda: source.execute(WAITING).fetchone() != (0,), "workers wait for the table")
            capture.freeze()
            holder.execute("UPDATE counter SET n = n + 1")
        until(lambda: source.execute(READING).fetchone() == (0,), "the workers have read")
        run(source, (text.replace("{t}", name) for text in statements))
        until(lambda: source.execute(SENT).fetchone() == (True,), "the daemon's connection holds all of it")


@pytest.mark.parametrize("place", PLACES)
def test_a_rewrite_in_the_middle_of_a_snapshot_is_told_of_and_a_resync_mends_it(shared: Sweep, place: str) -> None:
    """Its values change without a word in the log."""
    with loading(shared, {"rewritten": KEYED}, place) as (setting, source):
        pipeline = setting.pipeline
        source.execute("ALTER TABLE rewritten ALTER v TYPE varchar(3) USING left(v, 3)")
        pipeline.capture.thaw()
        saved = pipeline.wait_for_saved(lambda p: p.tables["public.rewritten"].phase.value == "needs_resync")
        assert saved.tables["public.rewritten"].reason == "column v changed its type"
        pipeline.resync("public.rewritten")
        pipeline.wait_for_target("SELECT count(*) FROM rewritten", 1500)
        with psycopg.connect(pipeline.target) as target:  # a type is never narrowed by itself
            target.execute("ALTER TABLE rewritten ALTER v TYPE varchar(3)")


@pytest.mark.parametrize("place", [READ, pytest.param("capture.chunk_published=stop@1", marks=pytest.mark.slow)])
def test_a_keyless_snapshot_that_is_begun_anew_after_a_kill_holds_every_row_once(shared: Sweep, place: str) -> None:
    with loading(shared, {"again": KEYLESS}, place) as (setting, source):
        run(source, (text.replace("{t}", "again") for text in CHANGE_KEYLESS))
        setting.pipeline.capture.kill()
        source.execute("DELETE FROM again WHERE n = 0")
        setting.pipeline.capture.start("capture.chunk_read=stop@1")
        setting.pipeline.capture.wait_for_stop_at("capture.chunk_read")
        run(source, (text.replace("{t}", "again") for text in CHANGE_KEYLESS))


def test_one_table_is_copied_anew_while_the_others_stream_on(shared: Sweep) -> None:
    with loading(shared, {"copied": KEYED}, OPENED) as (setting, source):
        setting.pipeline.capture.thaw()
        setting.pipeline.caught_up()
        with psycopg.connect(setting.pipeline.source) as owner:
            owner.execute("LOCK TABLE copied IN ACCESS EXCLUSIVE MODE")  # no chunk of it can be read
            setting.pipeline.resync("public.copied")
            setting.pipeline.wait_for_saved(lambda saved: saved.tables["public.copied"].phase.value == "snapshotting")
            with setting.workload.running(), setting.reader.reading():
                setting.workload.progress()
                setting.reader.wait_for_news()
                setting.reader.wait_for_news()
            saved = setting.pipeline.positions().tables
            assert saved["public.copied"].phase.value == "snapshotting"
            assert saved["public.ledger"].phase.value == "streaming"
        source.execute("UPDATE copied SET v = 'afterwards' WHERE id % 2 = 0")


@pytest.mark.parametrize("place", PLACES)
def test_a_table_that_is_dropped_and_made_anew_in_the_middle_of_its_snapshot_is_copied_anew(
    shared: Sweep, place: str
) -> None:
    with loading(shared, {"remade": KEYED}, place) as (setting, source):
        source.execute("DROP TABLE remade")
        run(source, [KEYED.replace("{t}", "remade").replace("'v' ||", "'another ' ||")])
        setting.pipeline.capture.thaw()
        oid = source.execute("SELECT 'remade'::regclass::oid::int").fetchone()
        assert oid is not None
        setting.pipeline.wait_for_saved(lambda saved: saved.tables["public.remade"].identity == {"oid": oid[0]})


@pytest.mark.slow
def test_a_row_that_no_event_can_hold_stops_its_table_alone_until_it_is_gone(shared: Sweep) -> None:
    limit = 16 * 1024 * 1024  # topics.max_message_bytes
    insert = "INSERT INTO large SELECT {id}, repeat('x', {size})"
    table = "CREATE TABLE {t} (id int PRIMARY KEY, v text); " + insert.format(id=1, size=limit - 4096)
    with loading(shared, {"large": table}, OPENED) as (setting, source):
        pipeline = setting.pipeline
        pipeline.capture.thaw()
        run(source, [insert.format(id=2, size=limit - 4096)])
        pipeline.caught_up()
        pipeline.assert_equal()
        run(source, [insert.format(id=3, size=limit - 200), "UPDATE counter SET n = n + 1"])
        saved = pipeline.wait_for_saved(lambda p: p.tables["public.large"].reason is not None)
        assert saved.tables["public.large"].phase.value == "needs_resync"
        assert f"topics.max_message_bytes is {limit}" in str(saved.tables["public.large"].reason)
        found = source.execute("SELECT n FROM counter WHERE id = 1").fetchone()
        assert found is not None
        pipeline.wait_for_target("SELECT n FROM counter WHERE id = 1", found[0])
        run(source, ["DELETE FROM large WHERE id = 3"])
        pipeline.resync("public.large")
