"""Ports stay a server's own: outside of the ephemeral range, never given twice."""

from __future__ import annotations

import socket

from operate.local import ports


def test_a_free_port_is_none_that_the_kernel_gives_to_clients() -> None:
    assert all(ports.free_port() < 32_768 for _ in range(50))


def test_no_port_is_given_twice() -> None:
    given = [ports.free_port() for _ in range(200)]

    assert len(set(given)) == len(given)


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]

        assert ports.listens(port)
        assert not ports.is_free(port)

    assert not ports.listens(port)
    assert ports.is_free(port)
