"""The command line of the benchmarks."""

from __future__ import annotations

import pytest

from bench import options
from bench.debezium.connectors import Format


def test_a_case_alone_has_its_own_rows_and_keeps_nothing() -> None:
    asked = options.parse(["snapshot"])

    assert (asked.rows, asked.peer, asked.growth, asked.results) == (None, None, False, None)


def test_everything_for_the_page_is_kept_and_has_its_growth() -> None:
    asked = options.parse(["all", "--peer", "debezium", "--formats", "json,plain json"])

    assert (asked.growth, asked.results) == (True, options.RESULTS)
    assert asked.formats == (Format.JSON, Format.PLAIN_JSON)


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["snapshot"], {"snapshot": 1_000_000, "big-transaction": 2_000_000, "latency": 0}),
        (["all", "--rows", "5000"], {"snapshot": 5000, "big-transaction": 5000, "latency": 0}),
    ],
)
def test_rows_that_are_asked_for_are_those_of_every_case_that_has_rows(
    arguments: list[str], rows: dict[str, int]
) -> None:
    asked = options.parse(arguments)

    assert {case: asked.rows_of(case) for case in rows} == rows


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-case"],
        ["snapshot", "--rows", "1500"],
        ["snapshot", "--rows", "0"],
        ["stream", "--table", "wide"],
        ["snapshot", "--peer", "nobody"],
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        options.parse(arguments)

    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "turns"), [((), [True, True, True]), (("--peer-repeat", "1"), [True, False, False])])
def test_the_peer_may_have_fewer_repetitions(more: tuple[str, ...], turns: list[bool]) -> None:
    asked = options.parse(["all", "--repeat", "3", *more])

    assert [asked.has_peer(turn) for turn in range(3)] == turns
