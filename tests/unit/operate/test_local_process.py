"""A server process is found again by id and start, and ended with its children; nothing else is."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from operate.local import process
from operate.local.process import Identity, Launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDLE = "import signal; print('up', flush=True); signal.pause()"
POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye')));" + IDLE
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
WITH_CHILD = (
    "import subprocess, sys, signal;"
    f"child = subprocess.Popen([sys.executable, '-c', {IDLE!r}], stdout=subprocess.PIPE, start_new_session=True);"
    "child.stdout.readline(); print('up', child.pid, flush=True); signal.pause()"
)


class Program:
    """Python code run as a server."""

    def __init__(self, folder: Path, code: str) -> None:
        self.log = folder / "log"
        self.identity = process.launch(Launch([sys.executable, "-c", code], dict(os.environ)), self.log)
        while not self.log.read_text().endswith("\n"):
            assert self.identity.find() is not None, "it ended early"


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path, IDLE)
    yield program
    process.kill(program.identity)


def test_a_process_is_found_again_by_what_was_recorded(idle: Program, tmp_path: Path) -> None:
    idle.identity.write(tmp_path / "record")

    assert Identity.read(tmp_path / "record") == idle.identity
    assert idle.identity.find() == psutil.Process(idle.identity.pid)


def test_another_process_with_the_same_id_is_neither_found_nor_ended(idle: Program) -> None:
    other = Identity(idle.identity.pid, "another start")

    process.end(other, signal.SIGTERM, 1)
    process.kill(other)

    assert other.find() is None
    assert idle.identity.find() is not None


@pytest.mark.parametrize("text", ["", "12", "1 2 3"])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "record").write_text(text)

    assert Identity.read(tmp_path / "record") is None


def test_a_missing_record_counts_as_none(tmp_path: Path) -> None:
    assert Identity.read(tmp_path / "record") is None


def test_a_process_leads_a_session_of_its_own(idle: Program) -> None:
    assert os.getsid(idle.identity.pid) == idle.identity.pid != os.getsid(0)


def test_end_asks_first(tmp_path: Path) -> None:
    program = Program(tmp_path, POLITE)

    process.end(program.identity, signal.SIGTERM, 30)

    assert program.identity.find() is None
    assert program.log.read_text() == "up\nbye\n"


def test_end_wakes_a_stopped_process_to_hear_it(tmp_path: Path) -> None:
    program = Program(tmp_path, POLITE)
    os.kill(program.identity.pid, signal.SIGSTOP)

    process.end(program.identity, signal.SIGTERM, 30)

    assert program.log.read_text() == "up\nbye\n"


def test_end_kills_who_does_not_listen(tmp_path: Path) -> None:
    program = Program(tmp_path, STUBBORN)

    process.end(program.identity, signal.SIGTERM, 0.01)

    assert program.identity.find() is None


def test_kill_takes_children_in_sessions_of_their_own_along(tmp_path: Path) -> None:
    program = Program(tmp_path, WITH_CHILD)
    child = Identity.of(int(program.log.read_text().split()[1]))

    process.kill(program.identity)

    assert program.identity.find() is None
    assert child.find() is None


def test_ending_who_has_gone_has_no_effect(tmp_path: Path) -> None:
    program = Program(tmp_path, IDLE)
    process.kill(program.identity)

    process.kill(program.identity)
    process.end(program.identity, signal.SIGTERM, 1)


def test_variables_that_would_steer_a_server_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")
    monkeypatch.setenv("KEEP_PG", "kept")

    environment = process.clean_environment(("PG",))

    assert "PGDATA" not in environment
    assert environment["KEEP_PG"] == "kept"
