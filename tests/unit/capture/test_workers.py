"""Worker processes that read chunks."""

from __future__ import annotations

import os
import signal
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from capture.snapshot.workers import WorkerPool, _serve
from capture.source import ChunkRead, ChunkRequest, FoundTable, SourceError, SourceUnavailable
from schemas.table import TableSchema

TABLE = FoundTable("s.t", "s", "t", {}, keyless=False)
SCHEMA = TableSchema("s", "t", ())


def read(request: ChunkRequest) -> ChunkRead:
    what = request.plan["what"]
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "refuse":
        raise SourceError("the chunk cannot be read", "grant it")
    if what == "fail":
        raise ZeroDivisionError
    if what == "hang":
        signal.pause()
    return ChunkRead(SCHEMA, None, {"index": request.index, "pid": os.getpid()}, 0, None)


def request(what: str, index: int = 0) -> ChunkRequest:
    return ChunkRequest(None, TABLE, {"what": what}, index, (), Path())


@pytest.fixture
def pool():
    pool = WorkerPool(read, 2)
    yield pool
    pool.close()


def outcomes(pool, count):
    """Wait for outcomes on the workers' own links."""
    found = {}
    while len(found) < count:
        wait([worker.link for worker in pool._workers])
        found.update(pool.finished())
    return found


def test_chunks_come_back_under_their_tickets_from_as_many_processes_as_there_are_workers(pool):
    tickets = [pool.ask(request("read", index)) for index in range(3)]
    assert pool.free() == 0
    found = outcomes(pool, 3)
    assert {ticket: found[ticket].upto["index"] for ticket in tickets} == dict(zip(tickets, range(3), strict=True))
    assert pool.free() == 3
    assert len(pool._workers) == 2


def test_what_the_source_refuses_comes_back_with_its_fix(pool):
    ticket = pool.ask(request("refuse"))
    error = outcomes(pool, 1)[ticket]
    assert (error.what, error.fix) == ("the chunk cannot be read", "grant it")


def test_a_worker_that_dies_counts_as_a_source_that_went_away_and_is_replaced(pool):
    ticket = pool.ask(request("die"))
    assert isinstance(outcomes(pool, 1)[ticket], SourceUnavailable)
    again = pool.ask(request("read", 7))
    assert outcomes(pool, 1)[again].upto["index"] == 7


def test_a_worker_that_died_while_idle_is_replaced(pool):
    first = pool.ask(request("read"))
    outcomes(pool, 1)
    (worker,) = pool._workers
    worker.process.kill()
    worker.process.join()
    second = pool.ask(request("read", 7))
    assert second != first
    assert outcomes(pool, 1)[second].upto["index"] == 7


def test_a_defect_of_the_reader_is_raised_in_the_daemon(pool):
    pool.ask(request("fail"))
    wait([worker.link for worker in pool._workers])
    with pytest.raises(ZeroDivisionError):
        pool.finished()


def test_closing_does_not_wait_for_a_chunk_that_hangs(pool):
    pool.ask(request("hang"))
    (worker,) = pool._workers
    pool.close()
    assert not worker.process.is_alive()


def test_a_worker_whose_daemon_is_gone_with_an_outcome_unread_ends_quietly(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    ours, theirs = Pipe()
    theirs.send("an outcome")
    ours.close()
    _serve(read, theirs)
