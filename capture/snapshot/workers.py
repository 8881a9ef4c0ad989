"""The worker processes that read chunks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

#: What a worker brings back.
Outcome = ChunkRead | SourceError


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
    process: SpawnProcess
    link: Connection
    ticket: int | None = None


class WorkerPool:
    """Worker processes, started fresh (``spawn``: librdkafka's threads do not survive a fork) when there is work.

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
            worker.link.close()
        for worker in self._workers:
            worker.process.join()
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
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._read, theirs), name="chunk-worker", daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

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
        worker.link.close()
        worker.process.join()


def _serve(read: Callable[[ChunkRequest], ChunkRead], link: Connection) -> None:
    """Read chunks until the daemon closes the link. Signals of the process group are the daemon's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_daemon, name="end-with-the-daemon", daemon=True).start()
    with suppress(EOFError, OSError):  # the daemon closed the link, or is gone
        while True:
            link.send(_outcome(read, link.recv()))


def _outcome(read: Callable[[ChunkRequest], ChunkRead], request: ChunkRequest) -> ChunkRead | Exception:
    try:
        return read(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, the daemon raises it
        return error


def _end_with_the_daemon() -> None:
    """A daemon that is killed cannot end a worker in the middle of a chunk."""
    daemon = multiprocessing.parent_process()
    if daemon is not None:
        daemon.join()
        os._exit(1)
