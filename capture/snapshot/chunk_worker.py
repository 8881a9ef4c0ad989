"""A worker process: reads the chunks that the daemon asks for, until the daemon is gone.

It is started with as little as it needs: whatever is imported here costs every worker its time and memory.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.source import ChunkRead, ChunkRequest

_STDIN = 0


def main() -> None:
    """Serve on the link whose file descriptor is the first argument. What to run comes first of all.

    Signals of the process group are the daemon's business.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_daemon, name="end-with-the-daemon", daemon=True).start()
    link = Connection(int(sys.argv[1]))
    with suppress(EOFError, OSError):  # the daemon closed the link, or is gone
        serve(link.recv(), link)


def serve(read: Callable[[ChunkRequest], ChunkRead], link: Connection) -> None:
    """Answer each request on the link with its chunk, or with what went wrong, until EOFError or OSError ends it."""
    while True:
        link.send(_outcome(read, link.recv()))


def _outcome(read: Callable[[ChunkRequest], ChunkRead], request: ChunkRequest) -> ChunkRead | Exception:
    try:
        return read(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, the daemon raises it
        return error


def _end_with_the_daemon() -> None:
    """A daemon that is killed cannot end a worker in the middle of a chunk; but it was the other end of our stdin."""
    while os.read(_STDIN, 1):
        pass
    os._exit(1)
