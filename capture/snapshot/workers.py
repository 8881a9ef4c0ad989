"""The worker processes that read chunks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Final, Protocol

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

#: What a worker brings back.
Outcome = ChunkRead | SourceError
_BEGIN: Final = "from capture.snapshot.chunk_worker import main; main()"


class Pool(Protocol):
    """Whoever reads chunks: worker processes, or a simulation in tests."""

    def free(self) -> int:
        """Return how many more chunks may be asked for now."""

    def ask(self, request: ChunkRequest) -> int:
        """Have a chunk read; the ticket comes back with the outcome."""

    def finished(self) -> list[tuple[int, Outcome]]:
        """Return what came in since the last call, without waiting."""

    def close(self) -> None:
        """End all workers."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    link: Connection
    ticket: int | None = None

    def end(self) -> None:
        """Let go of it, and wait until it is gone."""
        self.link.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


class WorkerPool:
    """Worker processes, started when there is work.

    Each is a fresh interpreter: librdkafka's threads do not survive a fork, and ``multiprocessing`` would have it
    import whatever the daemon's main module does, and start a process more to watch over them.
    One chunk more than there are workers is out at a time, so that reading goes on while a chunk is published.
    """

    def __init__(self, read: Callable[[ChunkRequest], ChunkRead], workers: int) -> None:
        self._read, self._most = read, workers
        self._tickets = count(1)
        self._waiting: deque[tuple[int, ChunkRequest]] = deque()
        self._workers: list[_Worker] = []

    def free(self) -> int:
        """Return how many more chunks may be asked for now."""
        return self._most + 1 - len(self._waiting) - sum(worker.ticket is not None for worker in self._workers)

    def ask(self, request: ChunkRequest) -> int:
        """Have a chunk read by the next idle worker."""
        ticket = next(self._tickets)
        self._waiting.append((ticket, request))
        self._hand_out()
        return ticket

    def finished(self) -> list[tuple[int, Outcome]]:
        """Return what came in; a worker that died counts as a source that went away."""
        came = [(worker, worker.ticket) for worker in self._workers if worker.ticket is not None and worker.link.poll()]
        outcomes = [(ticket, self._receive(worker)) for worker, ticket in came]
        self._hand_out()
        return outcomes

    def close(self) -> None:
        """End all workers at once; chunks that are out are thrown away."""
        self._waiting.clear()
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _hand_out(self) -> None:
        while self._waiting and (worker := self._idle()) is not None:
            ticket, request = self._waiting[0]
            try:
                worker.link.send(request)
            except OSError:
                self._forget(worker)  # it died while it was idle
                continue
            worker.ticket = ticket
            self._waiting.popleft()

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.ticket is None:
                return worker
        return self._start() if len(self._workers) < self._most else None

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BEGIN, str(theirs.fileno())],
                stdin=subprocess.PIPE,  # it ends with us: we are the other end
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        worker = _Worker(process, ours)
        self._workers.append(worker)
        with suppress(OSError):  # it has ended already: whoever hands it a chunk finds out
            ours.send(self._read)
        return worker

    def _receive(self, worker: _Worker) -> Outcome:
        try:
            outcome: Outcome | Exception = worker.link.recv()
        except (EOFError, OSError):
            self._forget(worker)
            return SourceUnavailable("a chunk worker ended unexpectedly")
        worker.ticket = None
        if isinstance(outcome, Exception) and not isinstance(outcome, SourceError):
            raise outcome
        return outcome

    def _forget(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.end()
