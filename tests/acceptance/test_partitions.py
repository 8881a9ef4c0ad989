"""Partitioned tables from end to end: partitions of every shape, a publication made by hand, rows that move about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.positions import Phase
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.postgres_source import Database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

#: Keyed, keyed with whole old rows, and without a key.
TABLES = {
    "plain": ", PRIMARY KEY (id)",
    "whole": ", PRIMARY KEY (id)",
    "keyless": "",
}
#: Incompressible, so that it lies out of line.
BIG = "(SELECT string_agg(sha512((g * 7 + i)::text::bytea)::text, '') FROM generate_series(1, 60) g)"

#: Partitions whose columns have other numbers and another order than the table's, one of them a level deeper.
MAKE = (
    "CREATE TABLE {t} (id int, v text, w int, big text{key}) PARTITION BY LIST (id)",
    "CREATE TABLE {t}1 PARTITION OF {t} FOR VALUES IN (1, 11)",
    "CREATE TABLE {t}2 (w int, gone int, big text, id int NOT NULL, v text); ALTER TABLE {t}2 DROP gone",
    "ALTER TABLE {t} ATTACH PARTITION {t}2 FOR VALUES IN (2, 12)",
    "CREATE TABLE {t}3 (big text, a int, b int, v text, w int, id int NOT NULL) PARTITION BY LIST (id)",
    "ALTER TABLE {t}3 DROP a; ALTER TABLE {t}3 DROP b; ALTER TABLE {t}3 DROP big; ALTER TABLE {t}3 ADD big text",
    "CREATE TABLE {t}31 PARTITION OF {t}3 FOR VALUES IN (3, 13)",
    "ALTER TABLE {t} ATTACH PARTITION {t}3 FOR VALUES IN (3, 13)",
    f"INSERT INTO {{t}} SELECT i, 'old', i, {BIG} FROM generate_series(1, 3) i",
)
FULL = "".join(f"ALTER TABLE {{t}}{part} REPLICA IDENTITY FULL;" for part in ("", "1", "2", "31"))
WORK = (
    f"INSERT INTO {{t}} SELECT i, 'new', i, {BIG} FROM generate_series(11, 13) i",
    "UPDATE {t} SET v = v || '!' WHERE id < 10",  # the large value is not sent
)
MOVES = (
    "DELETE FROM {t} WHERE id = 12",
    "UPDATE {t} SET id = id + 10 WHERE id = 2",  # within a partition, with the large value unsent
    "DELETE FROM {t} WHERE id = 3",
    "UPDATE {t} SET id = 3 WHERE id = 1",  # to a deeper one
    "UPDATE {t} SET id = 2, v = 'moved' WHERE id = 13",
    "UPDATE {t} SET big = NULL WHERE id = 2",
    "INSERT INTO {t}1 (id, v) VALUES (1, 'straight')",
    "ALTER TABLE {t} ADD n int DEFAULT 7",
    "UPDATE {t} SET n = 8 WHERE id = 11",
    "CREATE TABLE {t}4 PARTITION OF {t} FOR VALUES IN (4, 14); ALTER TABLE {t}4 REPLICA IDENTITY {identity}",
    "INSERT INTO {t} SELECT 4, v, w, big, n FROM {t} WHERE id = 12",
    "UPDATE {t} SET id = 14 WHERE id = 12",
)


def test_rows_of_partitions_of_every_shape_arrive_and_a_truncated_partition_is_no_silent_loss(
    source_db: str, target_db: str, kafka: str, pipeline_name: str, tmp_path: Path
) -> None:
    db = Database(source_db, pipeline_name)

    def work(*statements: str) -> None:
        for table, key in TABLES.items():
            identity = "DEFAULT" if table == "plain" else "FULL"
            db.run(*(s.replace("{t}", table).replace("{key}", key).replace("{identity}", identity) for s in statements))

    work(*MAKE)
    db.run(FULL.replace("{t}", "whole"), FULL.replace("{t}", "keyless"))
    db.run(f"CREATE PUBLICATION {db.name} FOR TABLE plain, whole, keyless WITH (publish_via_partition_root = true)")
    own = {"publication": {"name": db.name, "create": False}}
    with closing(Pipeline(tmp_path, pipeline_name, kafka, source_db, target_db, source=own)) as pipeline:
        pipeline.start()
        pipeline.wait_for_saved(lambda saved: {t.phase for t in saved.tables.values()} == {Phase.STREAMING})
        work(*WORK)
        pipeline.caught_up()
        pipeline.assert_equal()
        assert pipeline.capture.stop() == 0
        work(*MOVES)
        pipeline.capture.start()
        pipeline.caught_up()
        pipeline.assert_equal()

        db.run("TRUNCATE plain1, plain2, plain31, plain4", "TRUNCATE whole", "TRUNCATE keyless2")
        lost = ["public.keyless", "public.plain"]
        pipeline.wait_for_saved(
            lambda saved: lost == sorted(n for n, t in saved.tables.items() if t.phase is Phase.NEEDS_RESYNC)
        )
        pipeline.resync(*lost)
        pipeline.wait_for_saved(lambda saved: {t.phase for t in saved.tables.values()} == {Phase.STREAMING})
        pipeline.caught_up()
        pipeline.assert_equal()
        pipeline.stop()
    db.conn.close()
