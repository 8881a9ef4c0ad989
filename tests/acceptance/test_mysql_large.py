"""One transaction of two million rows of MySQL and MariaDB: capture publishes all of it in bounded memory."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from operate.following import end_offsets
from runtime import kafka
from tests.support.daemons_pipeline import Pipeline, closing, until
from tests.support.databases import fresh_database
from tests.support.mysql_source import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(1_200)]

ROWS = 2_000_000
MOST_BYTES = 400 << 20
_THOUSAND = " UNION ALL ".join(f"SELECT {n} AS n" for n in range(1_000))


@pytest.fixture
def pipeline(mysql_kind_db: str, kafka: str, target_server: str, tmp_path: Path) -> Iterator[Pipeline]:
    name = f"large_{secrets.token_hex(4)}"
    with (
        fresh_database(target_server, "target") as target,
        closing(Pipeline(tmp_path, name, kafka, mysql_kind_db, target)) as made,
    ):
        yield made


@pytest.mark.parametrize("compressed", [False, pytest.param(True, id="compressed")])
def test_a_transaction_of_two_million_rows_needs_little_memory(
    pipeline: Pipeline, mysql_kind: str, *, compressed: bool
) -> None:
    if compressed and mysql_kind != "mysql":
        pytest.skip("only MySQL compresses whole transactions")
    db = Database(pipeline.source, pipeline.name)
    db.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(60))", "INSERT INTO t VALUES (-1, 'first')")
    pipeline.capture.start()
    saved = pipeline.wait_for_saved(
        lambda now: bool(now.tables) and all(t.phase.value == "streaming" for t in now.tables.values())
    )
    topic = next(iter(saved.tables.values())).topic
    before = _end(pipeline, topic)
    if compressed:
        db.run("SET SESSION binlog_transaction_compression = ON")
    for name in ("thousand", "hundred"):  # a temporary table may stand in a statement once
        db.run(f"CREATE TEMPORARY TABLE {name} (n int PRIMARY KEY)", f"INSERT INTO {name} {_THOUSAND}")
    db.run("DELETE FROM hundred WHERE n >= 100", "BEGIN")
    for part in range(ROWS // 100_000):
        db.run(
            f"INSERT INTO t SELECT {part} * 100000 + a.n * 1000 + b.n, concat('a row of some length: ', a.n, ' ', b.n) "
            f"FROM hundred a JOIN thousand b"
        )
    db.run("COMMIT")
    until(lambda: _end(pipeline, topic) >= before + ROWS, "all rows are published", 900)
    assert _end(pipeline, topic) == before + ROWS
    assert _peak_bytes(pipeline.capture.pid) < MOST_BYTES
    print(f"peak {_peak_bytes(pipeline.capture.pid) >> 20} MiB")
    db.close()


def _end(pipeline: Pipeline, topic: str) -> int:
    return end_offsets(kafka.admin(pipeline.config.kafka), [(topic, 0)])[topic, 0]


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10
