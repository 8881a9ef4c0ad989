"""The demo keeps its word on real servers, and leaves nothing behind, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from operate.demo import checks, data, day, mariadb_source, source_tables
from operate.demo.application import MariaDBApplication
from operate.local.stack import Stack
from runtime import mysql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.cursors import Cursor

pytestmark = pytest.mark.live

COMMAND = [sys.executable, "-P", "-m", "operate.main", "demo"]
ROWS_OF_FLIGHTS = 336_776


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A temporary folder of its own, so that nobody else's demo counts."""
    tmp_path.chmod(0o711)
    return os.environ | {"TMPDIR": str(tmp_path)}


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Neither a file nor a process that speaks of the test's folder."""
    yield
    assert list(tmp_path.iterdir()) == []
    assert [process.cmdline() for process in _processes(str(tmp_path))] == []


def _processes(folder: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if any(folder in word for word in p.info["cmdline"] or [])]


def _start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _read_until(demo: subprocess.Popen[str], words: str) -> None:
    assert demo.stderr is not None
    for line in demo.stderr:
        if words in line:
            return
    pytest.fail(f"the demo ended before it said: {words}")


def test_the_played_day_ends_as_the_real_day_did(source_db: str, target_db: str) -> None:
    with psycopg.connect(source_db, autocommit=True) as source, psycopg.connect(target_db, autocommit=True) as other:
        loaded = source_tables.create(source, data.fetch(print), print)
        changes = sum(day.play(source, scene) for scene in day.scenes())
        source.execute("CREATE TABLE played AS SELECT * FROM public.flights WHERE month = 2 AND day = 8")
        cancelled = source.execute("SELECT count(*) FROM played WHERE cancelled <> (dep_time IS NULL)").fetchone()
        source.execute("ALTER TABLE played DROP COLUMN cancelled")
        wrong = source.execute(
            "(TABLE played EXCEPT ALL TABLE ahead.flights) UNION ALL (TABLE ahead.flights EXCEPT ALL TABLE played)"
        )

        assert changes > 30_000
        assert cancelled == (0,)
        assert wrong.fetchall() == []
        assert loaded["public.flights"] < source_tables.count(source)["public.flights"] == ROWS_OF_FLIGHTS
        other.execute("CREATE TABLE public.airlines (carrier varchar(2), name text)")
        assert checks.compare(source, other, "public.airlines").mismatches == 16
        assert checks.compare(source, other, "public.planes").mismatches == 3322
        assert checks.compare(source, source, "public.planes").mismatches == 0


@pytest.fixture
def mariadb_alone(tmp_path: Path) -> Iterator[str]:
    """A server of this test's own: the demo's databases have fixed names."""
    stack = Stack(tmp_path / "stack", ["mariadb"])
    yield stack.up().server("mariadb").address
    stack.remove()


def test_the_day_is_the_same_in_mariadb(mariadb_alone: str, target_db: str) -> None:
    with (
        mysql.connect(mariadb_alone, program_name="test", local_infile=True) as source,
        source.cursor() as cursor,
        psycopg.connect(target_db, autocommit=True) as other,
    ):
        loaded = mariadb_source.create(source, data.fetch(print), print)
        changes = sum(mariadb_source.play(source, scene) for scene in day.scenes(mariadb_source.MARIADB))

        def count(query: str) -> int:
            cursor.execute(query)
            return cursor.fetchall()[0][0]

        assert changes > 30_000
        assert count("SELECT COUNT(*) FROM public.flights WHERE month = 2 AND day = 8") == 930
        assert count("SELECT COUNT(*) FROM public.flights WHERE cancelled") == 472
        columns = ", ".join(mariadb_source.FLIGHTS)
        played = f"SELECT {columns} FROM public.flights WHERE month = 2 AND day = 8"
        for wrong in (
            f"{played} EXCEPT ALL SELECT * FROM ahead.flights",
            f"SELECT * FROM ahead.flights EXCEPT ALL {played}",
        ):
            assert count(f"SELECT COUNT(*) FROM ({wrong}) wrong") == 0
        assert loaded["public.flights"] < mariadb_source.count(source, "public.flights") == ROWS_OF_FLIGHTS
        assert loaded["public.weather"] + 72 == mariadb_source.count(source, "public.weather")

        other.execute("CREATE TABLE public.airlines (carrier varchar(2), name text)")
        assert MariaDBApplication().compare(mariadb_alone, other, "public.airlines").mismatches == 16
        other.cursor().executemany("INSERT INTO public.airlines VALUES (%s, %s)", rows_of(cursor, "public.airlines"))
        assert MariaDBApplication().compare(mariadb_alone, other, "public.airlines").mismatches == 0
        other.execute("UPDATE public.airlines SET name = name || ' ' WHERE carrier = 'UA'")
        assert MariaDBApplication().compare(mariadb_alone, other, "public.airlines").mismatches == 2


def rows_of(cursor: Cursor, table: str) -> list[tuple]:
    cursor.execute(f"SELECT * FROM {table}")
    return list(cursor.fetchall())


@pytest.mark.parametrize(
    ("again", "rows"),
    [
        ("SELECT 1", 0),
        ("UPDATE t SET n = n WHERE n < 3", 2),
        ("DELETE FROM t WHERE n = 1", 1),
        ("INSERT INTO t VALUES (4)", 2),
    ],
)
def test_what_a_restart_writes_again_is_seen_in_the_row_versions(target_db: str, again: str, rows: int) -> None:
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS n")
        before = checks.stand(target, "nyc", ["t"])

        target.execute(again)

        assert checks.since(target, "nyc", ["t"], before).worst == rows


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", ["postgresql", "mariadb"])
def test_the_demo_survives_its_crashes_with_every_row_right(environment: dict[str, str], source: str) -> None:
    with _start(environment, "--source", source, "--json") as demo:
        answer, told = demo.communicate()

    result = json.loads(answer)
    assert result["ok"] is True, told[-4000:]
    assert demo.returncode == 0
    assert (result["mismatches"], result["reapplied_after_restart"], result["tables"]) == (0, 0, 5)
    assert result["crashes"] >= 4
    assert result["rows"] >= ROWS_OF_FLIGHTS


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_its_servers_and_daemons(
    environment: dict[str, str], tmp_path: Path, signal_number: signal.Signals
) -> None:
    with _start(environment, "--json") as demo:
        _read_until(demo, "the day's schedule")
        assert _processes(str(tmp_path))
        demo.send_signal(signal_number)
        demo.communicate()

    assert demo.returncode == 130


@pytest.mark.slow
def test_a_demo_that_was_killed_is_removed_by_the_next(environment: dict[str, str], tmp_path: Path) -> None:
    with _start(environment, "--json") as demo:
        _read_until(demo, "the day's schedule")
        demo.kill()
        demo.communicate()
    left = list(tmp_path.glob("ferryman-demo-*/*"))
    assert len(left) == 1

    with _start(environment, "--json") as demo:
        _read_until(demo, "starting PostgreSQL, PostgreSQL and a Kafka broker")
        demo.send_signal(signal.SIGINT)
        demo.communicate()

    assert not left[0].exists()
