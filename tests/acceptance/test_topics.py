"""Topics that somebody deletes or makes anew, with other partitions, while the daemons run and while they are down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import kafka as brokers
from schemas.positions import Phase
from tests.support.daemons_pipeline import Pipeline, closing, until
from tests.support.postgres_source import Database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.slow]


class Topics:
    """What an administrator does to the topics of a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._brokers = pipeline.config.kafka

    def delete(self, topic: str) -> None:
        admin = brokers.admin(self._brokers)  # its futures end with it
        for future in admin.delete_topics([topic]).values():
            future.result(30)

    def make(self, topic: str, partitions: int) -> None:
        until(lambda: not brokers.partitions(self._brokers, [topic]), "the topic is gone")
        brokers.ensure_topic(self._brokers, topic, partitions, 1, {})


@pytest.mark.parametrize(
    "case",
    [("", 1, 0), ("", 3, 1), ("apply", 1, 0), ("apply", 3, 2), ("capture", 2, 1), ("both", 1, 3)],
)
def test_a_topic_that_is_deleted_is_told_of_and_a_resync_mends_it(
    source_db: str,
    target_db: str,
    kafka: str,
    pipeline_name: str,
    tmp_path: Path,
    case: tuple[str, int, int],
) -> None:
    """A case: who is down; how many partitions the topic has, and has when it is made anew (0: by capture alone)."""
    down, before, partitions = case
    db = Database(source_db, pipeline_name)
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text)",
        "INSERT INTO t SELECT i, 'old' FROM generate_series(1, 500) i; INSERT INTO u VALUES (1, 'old')",
    )
    with closing(Pipeline(tmp_path, pipeline_name, kafka, source_db, target_db)) as pipeline:
        topics = Topics(pipeline)
        if before > 1:
            topics.make(f"{pipeline_name}.public.t", before)
        pipeline.start()
        pipeline.wait_for_saved(lambda saved: [t.phase for t in saved.tables.values()] == [Phase.STREAMING] * 2)
        pipeline.caught_up()
        topic = pipeline.positions().tables["public.t"].topic
        stopped = [pipeline.daemon(name) for name in ("capture", "apply") if down in (name, "both")]
        for daemon in stopped:
            assert daemon.stop() == 0
        db.run("DELETE FROM t WHERE id <= 100", "UPDATE u SET v = 'newer'")
        topics.delete(topic)
        db.run("UPDATE t SET v = 'new' WHERE id > 400", "INSERT INTO t VALUES (501, 'new')")
        if partitions:
            topics.make(topic, partitions)
        for daemon in stopped:
            daemon.start()
        pipeline.wait_for_target("SELECT state FROM ferryman.table_state WHERE \"table\" = 'public.t'", "needs_resync")
        code, answer = pipeline.command("status")
        shown = {table["table"]: table for table in answer["tables"]}
        assert code == 0
        assert shown["public.t"]["state"] == "needs_resync"
        assert "topic" in shown["public.t"]["reason"]
        assert "resync" in shown["public.t"]["fix"]
        assert shown["public.u"]["state"] == "streaming"

        code, answer = pipeline.command("resync", "public.t", "--wait", "--timeout", "60")
        assert (code, answer["done"]) == (0, True), answer
        db.run("DELETE FROM t WHERE id = 500", "INSERT INTO u VALUES (2, 'last')")
        pipeline.caught_up()
        pipeline.assert_equal()
        pipeline.stop()
    db.conn.close()
