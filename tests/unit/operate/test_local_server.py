"""A server keeps its ports, is started once, and says why it could not start."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, ClassVar

import pytest

from operate.local import ports
from operate.local.process import Launch
from operate.local.server import Server, require_room
from runtime.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTEN = (
    "import socket, sys, signal; server = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
    "print('listening', flush=True); signal.pause()"
)


class Listener(Server):
    """Accepts connections and does nothing."""

    title: ClassVar[str] = "Listener"
    code = LISTEN
    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def command(self) -> Launch:
        return Launch([sys.executable, "-c", self.code, str(self.port)], dict(os.environ))

    def answers(self) -> bool:
        return ports.listens(self.port)

    @property
    def address(self) -> str:
        return f"{ports.HOST}:{self.port}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "listener")
    yield listener
    listener.remove()


def test_start_returns_when_it_answers_and_stop_when_it_has_gone(server: Listener) -> None:
    server.start()
    assert server.running
    assert ports.listens(server.port)

    server.stop()
    assert not server.running
    assert not ports.listens(server.port)


def test_starting_a_running_server_starts_nothing(server: Listener) -> None:
    server.start()
    server.start()

    assert server.prepared == 1


@pytest.mark.parametrize("end", [Listener.stop, Listener.kill])
def test_it_comes_back_at_the_same_address(server: Listener, end: object) -> None:
    server.start()
    address = server.address
    assert callable(end)
    end(server)

    server.start()

    assert server.address == address
    assert server.answers()


def test_another_program_finds_and_ends_it(server: Listener) -> None:
    server.start()

    other = Listener(server.folder)

    assert other.running
    assert other.address == server.address
    other.stop()
    assert not server.running


def test_a_taken_port_is_refused_with_its_number(server: Listener) -> None:
    server.folder.mkdir()
    with socket.create_server((ports.HOST, server.port)), pytest.raises(BadInput, match=f"{server.port}.*another"):
        server.start()


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(server: Listener) -> None:
    server.code = "raise SystemExit('no such luck')"

    with pytest.raises(Unreachable, match="ended while it started: no such luck"):
        server.start()


def test_remove_leaves_nothing(server: Listener) -> None:
    server.start()

    server.remove()

    assert not server.running
    assert not server.folder.exists()


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="are needed"):
        require_room(tmp_path, 1 << 62)
