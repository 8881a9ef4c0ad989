"""Ports on 127.0.0.1 that stay a server's own while it is down."""

from __future__ import annotations

import random
import socket

#: Below the kernel's ephemeral ranges (Linux 32768-60999, others from 49152). A client that retries a dead server on
#: an ephemeral port can be given that very port for its own end and connect to itself, or keep the server from binding.
RANGE = range(15_000, 32_000)
HOST = "127.0.0.1"


# Chosen here but perhaps not listened on yet: servers start side by side.
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on and that this process has not given out before."""
    port = next(port for port in random.sample(RANGE, len(RANGE)) if port not in _given and is_free(port))
    _given.add(port)
    return port


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port now (its own closed connections do not count)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def listens(port: int) -> bool:
    """Return whether somebody accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0
