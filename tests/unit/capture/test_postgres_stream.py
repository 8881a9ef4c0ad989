"""How long rows of the stream wait for others."""

from __future__ import annotations

import pytest

from capture.sources.postgres import stream
from capture.sources.postgres.stream import Stream
from tests.support.clock import Clock

MOST = 10_000


class Rows:
    """A sink that counts."""

    between = True

    def __init__(self) -> None:
        self.rows = 0


class Scripted(Stream):
    """A stream of which each look finds so many rows."""

    def __init__(self, *arrivals: int) -> None:
        self.arrivals = list(arrivals)

    def drain(self, sink: Rows, max_rows: int) -> None:
        sink.rows = min(max_rows, sink.rows + self.arrivals.pop(0))


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(stream, "time", found)
    return found


def gathered(*arrivals: int) -> int:
    rows = Rows()
    Scripted(*arrivals).gather(rows, MOST)
    return rows.rows


def test_a_few_rows_do_not_wait_for_more(clock):
    assert gathered(100, 500) == 100
    assert clock.pauses == 0


def test_a_flood_is_gathered_until_it_ebbs(clock):
    assert gathered(300, 400, 500, 3, 900) == 1203
    assert clock.pauses == 3


def test_a_flood_is_gathered_up_to_the_rows_that_were_asked_for(clock):
    assert gathered(300, 6_000, 6_000, 6_000) == MOST
    assert clock.pauses == 2


def test_a_flood_that_does_not_ebb_is_handed_on_after_a_tenth_of_a_second(clock):
    assert gathered(300, *[250] * 100) < 300 + 250 * 12
    assert clock.now == pytest.approx(0.1, abs=0.011)
