"""Worker processes that read chunks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from capture.snapshot.chunk_worker import serve
from capture.snapshot.workers import WorkerPool
from capture.source import ChunkRead, ChunkRequest, FoundTable, SourceError, SourceUnavailable
from schemas.table import TableSchema
from tests.support.patience import PATIENCE_S

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
    worker.process.wait()
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
    assert worker.process.poll() == -signal.SIGKILL


def test_a_worker_ends_amid_a_chunk_when_its_daemon_is_gone(pool):
    pool.ask(request("hang"))
    (worker,) = pool._workers
    worker.process.stdin.close()  # what the system does when the daemon dies
    assert worker.process.wait(PATIENCE_S) == 1


def test_a_worker_that_is_idle_ends_quietly_when_its_daemon_is_gone(pool):
    pool.ask(request("read"))
    outcomes(pool, 1)
    (worker,) = pool._workers
    worker.link.close()
    assert worker.process.wait(PATIENCE_S) == 0


def test_a_worker_whose_daemon_is_gone_with_an_outcome_unread_gets_an_error_of_its_link():
    ours, theirs = Pipe()
    theirs.send("an outcome")
    ours.close()
    with pytest.raises(OSError):
        serve(read, theirs)


@pytest.mark.parametrize("reader", ["capture.sources.postgres.chunks", "capture.sources.mysql.chunks"])
def test_a_worker_imports_nothing_that_only_the_daemon_needs(reader):
    heavy = {"numpy", "pyarrow", "confluent_kafka", "pydantic", "typer", "rich"}
    code = f"import sys, capture.snapshot.chunk_worker, {reader}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert heavy.isdisjoint(found.stdout.split())
