"""The local stack does what its users stand on: several at once, crashes, restarts, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from operate.following import end_offsets
from operate.local.process import Identity
from operate.local.stack import Stack
from runtime import kafka, mysql
from runtime.config import KafkaConfig
from runtime.errors import BadInput
from tests.support.daemons_pipeline import patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "stack"
    Stack(tmp_path / "stack").remove()


def _processes(stack: Stack, name: str) -> list[Identity]:
    """The server's process and its children."""
    identity = Identity.read(stack.folder / name / "process")
    process = identity.find() if identity else None
    assert process is not None
    return [Identity.of(each.pid) for each in (process, *process.children(recursive=True))]


def _admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.addresses["kafka"]})


def test_a_killed_postgresql_comes_back_on_its_port_with_what_was_committed(folder: Path) -> None:
    stack = Stack(folder, ["postgresql"]).up()
    url = stack.server("postgresql").address
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    processes = _processes(stack, "postgresql")

    stack.kill("postgresql")

    assert not any(process.find() for process in processes)
    assert not stack.server("postgresql").running
    stack.start("postgresql")
    assert stack.server("postgresql").address == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


def test_postgresql_starts_again_after_its_postmaster_alone_was_killed_under_open_sessions(folder: Path) -> None:
    stack = Stack(folder, ["postgresql"]).up()
    url = stack.server("postgresql").address
    sessions = [psycopg.connect(url) for _ in range(10)]
    postmaster, *backends = _processes(stack, "postgresql")

    os.kill(postmaster.pid, signal.SIGKILL)
    stack.start("postgresql")

    assert not any(backend.find() for backend in backends)
    psycopg.connect(url).close()
    for session in sessions:
        session.close()


@pytest.mark.parametrize("name", ["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def test_a_killed_mysql_comes_back_on_its_port_with_what_was_committed(
    folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(closed))  # ours alone: another user's server must not be told to write there
    stack = Stack(folder, [name]).up()
    url = stack.addresses[name]
    with mysql.connect(url, program_name="test") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.kept AS SELECT 1 AS n")
    processes = _processes(stack, name)

    stack.kill(name)

    assert not any(process.find() for process in processes)
    stack.start(name)
    assert stack.addresses[name] == url
    with mysql.connect(url, program_name="test") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM shop.kept")
        assert cursor.fetchall() == ((1,),)


@pytest.mark.parametrize("name", ["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def test_a_mysql_listens_on_loopback_logs_whole_rows_with_names_and_has_temporary_files_of_its_own(
    folder: Path, name: str
) -> None:
    stack = Stack(folder, [name]).up()

    with mysql.connect(stack.addresses[name], program_name="test") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@bind_address, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@log_bin")
        assert cursor.fetchall() == (("127.0.0.1", "ROW", "FULL", "FULL", 1),)
        cursor.execute("SELECT user, host FROM mysql.user WHERE user IN ('', 'root') ORDER BY host")
        assert cursor.fetchall() == (("root", "127.0.0.1"), ("root", "localhost"))
        cursor.execute("SELECT @@tmpdir, @@datadir")
        (temporary, data), = cursor.fetchall()  # fmt: skip
        assert Path(temporary).parent == Path(data).parent


def test_a_killed_kafka_comes_back_at_its_address_with_its_topics(folder: Path) -> None:
    stack = Stack(folder, ["kafka"]).up()
    bootstrap = stack.addresses["kafka"]
    admin = _admin(stack)
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
    longer_lived = kafka.admin(KafkaConfig(bootstrap_servers=bootstrap))
    assert end_offsets(longer_lived, [("kept", 0)]) == {("kept", 0): 0}

    stack.kill("kafka")
    stack.start("kafka")

    assert stack.addresses["kafka"] == bootstrap
    assert "kept" in _admin(stack).list_topics(timeout=30).topics
    assert patiently(lambda: end_offsets(longer_lived, [("kept", 0)])) == {("kept", 0): 0}


def test_up_on_a_running_stack_gives_the_same_addresses_and_starts_nothing(folder: Path) -> None:
    first = Stack(folder, ["postgresql"]).up()
    before = _processes(first, "target")[0]

    second = Stack(folder, ["postgresql"]).up()

    assert second.addresses == first.addresses
    assert _processes(second, "target")[0] == before


def test_two_stacks_run_side_by_side(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        with Stack(folder, ["postgresql"]) as one, Stack(other, ["postgresql"]) as two:
            servers = [stack.addresses[name] for stack in (one, two) for name in ("postgresql", "target")]
            for url in servers:
                psycopg.connect(url or "").close()
        assert len(set(servers)) == 4
    finally:
        Stack(other).remove()


def test_down_ends_the_servers_of_a_program_that_was_killed(folder: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from operate.local.stack import Stack;"
        "Stack(Path(sys.argv[1]), ['postgresql']).up(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    caller = subprocess.run([sys.executable, "-c", program, str(folder)], check=False, cwd=Path.cwd())
    assert caller.returncode == -signal.SIGKILL
    stack = Stack(folder)
    processes = _processes(stack, "postgresql") + _processes(stack, "target")

    assert stack.down() == ["postgresql", "target"]

    assert not any(process.find() for process in processes)


def test_a_source_is_ready_for_logical_replication_and_keeps_every_commit_over_a_kill(source_server: str) -> None:
    wanted = {"wal_level": "logical", "server_encoding": "UTF8", "synchronous_commit": "on", "full_page_writes": "on"}

    with psycopg.connect(source_server) as connection:
        found = {name: connection.execute(f"SHOW {name}").fetchone() for name in wanted}

    assert found == {name: (value,) for name, value in wanted.items()}


def test_nobody_becomes_superuser_without_the_password(source_server: str) -> None:
    if os.environ.get("FERRYMAN_TEST_POSTGRESQL_URL"):
        pytest.skip("this server is somebody else's")
    port = psycopg.conninfo.conninfo_to_dict(source_server)["port"]

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", password="guess")


def test_a_server_that_is_not_built_in_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="oracle is not available"):
        Stack(tmp_path, ["oracle"])
