"""The worker processes that read chunks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Protocol

from capture.source import ChunkRead, ChunkRequest, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

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


class WorkerPool:
    """Worker processes, started fresh (``spawn``: librdkafka's threads do not survive a fork).

    One chunk more than there are workers is out at a time, so that reading goes on while a chunk is published.
    """

    def __init__(self, read: Callable[[ChunkRequest], ChunkRead], workers: int) -> None:
        self._read, self._workers = read, workers
        self._tickets = count(1)
        self._out: dict[int, Future[ChunkRead]] = {}
        self._executor: ProcessPoolExecutor | None = None

    def free(self) -> int:
        """Return how many more chunks may be asked for now."""
        return self._workers + 1 - len(self._out)

    def ask(self, request: ChunkRequest) -> int:
        """Have a chunk read by the next idle worker."""
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_begin_worker)
        ticket = next(self._tickets)
        try:
            self._out[ticket] = self._executor.submit(self._read, request)
        except BrokenExecutor:
            raise self._broken() from None
        return ticket

    def finished(self) -> list[tuple[int, Outcome]]:
        """Return what came in; a worker that died counts as a source that went away."""
        done = [ticket for ticket, future in self._out.items() if future.done()]
        return [(ticket, self._outcome(self._out.pop(ticket))) for ticket in done]

    def close(self) -> None:
        """End all workers; chunks that are out are thrown away."""
        self._out.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _outcome(self, future: Future[ChunkRead]) -> Outcome:
        try:
            return future.result()
        except BrokenExecutor:
            return self._broken()
        except SourceError as error:
            return error

    def _broken(self) -> SourceUnavailable:
        self._executor = None
        return SourceUnavailable("a chunk worker ended unexpectedly")


def _begin_worker() -> None:
    """Leave signals of the process group to the daemon, which ends its workers itself, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_daemon, name="end-with-the-daemon", daemon=True).start()


def _end_with_the_daemon() -> None:
    """A daemon that is killed cannot end its workers, and a worker's queue never tells it."""
    daemon = multiprocessing.parent_process()
    if daemon is not None:
        daemon.join()
        os._exit(1)
