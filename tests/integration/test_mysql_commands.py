"""The command line over a pipeline with MySQL or MariaDB as its source, while the source is written to."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from runtime import mysql
from tests.support.daemons_pipeline import Pipeline, closing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

TABLES = (
    "CREATE TABLE items (id int PRIMARY KEY, v varchar(50), n decimal(12,4), at datetime(6), doc json)",
    "CREATE TABLE `Odd Name` (k varchar(20) PRIMARY KEY, v int)",
)
#: Rows of items, and those among them that the writer leaves alone.
ROWS, QUIET = 2_000, 1_500
#: Seconds between two rounds of the writer: apply keeps up, also on a machine that has much else to do.
PACE_S = 0.005


@pytest.fixture
def pipeline(tmp_path: Path, pipeline_name: str, kafka: str, mysql_kind_db: str, target_db: str) -> Iterator[Pipeline]:
    fill(mysql_kind_db)
    # On a busy machine nothing may move for a while; a command would then say what it sees, and repair nothing.
    patience = {"patience_seconds": 120}
    made = Pipeline(tmp_path, pipeline_name, kafka, mysql_kind_db, target_db, commands=patience)
    with closing(made):
        made.start()
        made.caught_up()
        yield made


def database(url: str) -> str:
    return urlsplit(url).path[1:]


def fill(url: str) -> None:
    items = ", ".join(
        f"""({n}, 'v{n}', {n}.5, '2026-01-01' + INTERVAL {n} SECOND, '{{"n": {n}}}')""" for n in range(ROWS)
    )
    odd = ", ".join(f"('k{n}', {n})" for n in range(1_000))
    with mysql.connect(url, program_name="test") as source, source.cursor() as cursor:
        for statement in (*TABLES, f"INSERT INTO items VALUES {items}", f"INSERT INTO `Odd Name` VALUES {odd}"):
            cursor.execute(statement)


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Write to the source all the time: a few rows again and again, one of them with every step."""
    over = threading.Event()

    def write() -> None:
        choose = random.Random(7)
        with mysql.connect(url, program_name="test") as source, source.cursor() as cursor:
            while not over.wait(PACE_S):
                row = choose.randrange(1, QUIET)
                cursor.execute("UPDATE items SET n = n + 1 WHERE id = 0")
                cursor.execute("DELETE FROM items WHERE id = %s", [row])
                cursor.execute("INSERT INTO items VALUES (%s, 'new', %s, NOW(6), NULL)", [row, choose.random()])
                cursor.execute("UPDATE `Odd Name` SET v = v + 1 WHERE k = %s", [f"k{choose.randrange(900)}"])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def spoil(url: str, schema: str) -> None:
    """Make the target wrong in rows that nobody writes to."""
    with psycopg.connect(url, options=f"-c search_path={schema}") as target:
        target.execute("DELETE FROM items WHERE id IN (1601, 1602)")
        target.execute("UPDATE items SET v = v || ' ' WHERE id = 1700")
        target.execute("INSERT INTO items VALUES (-1, 'extra', 0)")
        target.execute("""UPDATE "Odd Name" SET k = 'K950' WHERE k = 'k950'""")


def contents(pipeline: Pipeline, table: str, columns: str) -> tuple[list, list]:
    """Return all rows of both sides, as their drivers show them."""
    with mysql.connect(pipeline.source, program_name="test") as source, source.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM `{table}`")
        ours = list(cursor.fetchall())
    with psycopg.connect(pipeline.target, options=f"-c search_path={database(pipeline.source)}") as target:
        return sorted(ours), sorted(target.execute(f'SELECT {columns} FROM "{table}"').fetchall())


def figures(document: dict) -> dict[str, tuple[str, int, int, int]]:
    return {
        t["table"].partition(".")[2]: (t["state"], t["missing"], t["extra"], t["different"]) for t in document["tables"]
    }


def test_the_commands_tell_the_truth_while_the_source_is_written_to_and_when_the_daemons_are_down(
    pipeline: Pipeline,
) -> None:
    equal = {"items": ("equal", 0, 0, 0), '"Odd Name"': ("equal", 0, 0, 0)}
    with writing(pipeline.source):
        code, status = pipeline.command("status")
        assert (code, status["capture"]["state"], status["capture"]["slot_status"]) == (0, "running", "reserved")
        assert {t["state"] for t in status["tables"]} == {"streaming"}
        code, before = pipeline.command("validate")
        assert (code, before["equal"], figures(before)) == (0, True, equal)

        spoil(pipeline.target, database(pipeline.source))
        code, found = pipeline.command("validate")
        wrong = {"items": ("different", 2, 1, 1), '"Odd Name"': ("different", 1, 1, 0)}
        assert (code, found["equal"], figures(found)) == (1, False, wrong), found
        code, mended = pipeline.command("validate", "--repair")
        assert (code, figures(mended)) == (0, equal), mended
        assert sorted(t["repaired"] for t in mended["tables"]) == [2, 4]
    pipeline.caught_up()
    for table, columns in (("items", "id, v, n, at"), ("Odd Name", "k, v")):
        ours, theirs = contents(pipeline, table, columns)
        assert theirs == ours

    assert pipeline.command("teardown", "--yes")[1]["error"]["what"] == "capture is running"
    pipeline.stop()
    assert pipeline.command("status")[1]["capture"]["state"] == "stopped"
    with mysql.connect(pipeline.source, program_name="test") as source, source.cursor() as cursor:
        cursor.execute("DELETE FROM items WHERE id = 1800")
    code, behind = pipeline.command("wait", "--for", "caught-up", "--timeout", "2")
    assert (code, behind["done"]) == (1, False)

    code, removed = pipeline.command("teardown", "--yes")
    assert code == 0
    assert f"topic {pipeline.name}.positions" in removed["removed"]
    assert pipeline.command("teardown", "--yes") == (0, {"removed": []})
