"""SIGTERM and SIGINT ask for a stop; the second one ends the process at once."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

#: What a shell reports for a process that was interrupted.
INTERRUPTED = 130


class Stop:
    """Whether the process should finish what it does, save and leave.

    :meth:`wait` is the only pause that daemons use: it ends as soon as a stop is requested. A pipe carries the
    request, because a lock taken in a signal handler could be the one that the main thread holds.
    """

    def __init__(self) -> None:
        self.requested = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def install(self) -> Stop:
        """Obey SIGTERM and SIGINT from now on (main thread only)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)
        return self

    def request(self) -> None:
        """Ask for the stop; safe from any thread and in signal handlers, and to call again."""
        if not self.requested:
            self.requested = True
            os.write(self._writer, b"!")

    def wait(self, seconds: float) -> bool:
        """Pause for so long, or until a stop is requested; return whether it is."""
        if not self.requested:
            select.select([self._reader], [], [], max(0.0, seconds))
        return self.requested

    def fileno(self) -> int:
        """Return a descriptor that turns readable with the request, for ``select`` beside sockets."""
        return self._reader

    def close(self) -> None:
        """Close the pipe; for programs that make many of these."""
        os.close(self._reader)
        os.close(self._writer)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            os._exit(INTERRUPTED)
        self.request()
