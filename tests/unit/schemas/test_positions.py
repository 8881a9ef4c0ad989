"""What stands in the positions topic, told record by record."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import ContractError
from schemas.positions import (
    REMEMBERED,
    Phase,
    Positions,
    Record,
    StartRecord,
    StreamRecord,
    TableRecord,
    apart,
    decode,
    encode,
)


def folded(*records: tuple[int, Record]) -> Positions:
    positions = Positions()
    for offset, record in records:
        positions.add(offset, *encode(record))
    return positions


def start() -> StartRecord:
    return StartRecord("id", "source", 0)


def stream(run: int, lsn: int) -> StreamRecord:
    return StreamRecord(run, "source", 1, {"lsn": lsn}, {}, {})


def remembering(run: int, lsn: int, number: int, **memory: Any) -> list[Record]:
    """The records of a save in which the source remembers something."""
    whole = replace(stream(run, lsn), resume={"lsn": lsn, REMEMBERED: memory})
    return [record for record in reversed(apart(whole, number)) if record is not None]


def table(run: int, phase: Phase) -> TableRecord:
    return TableRecord(run, "public.t", "shop.public.t", 1, 1, phase)


def test_what_a_replaced_daemon_saves_after_its_successor_s_start_is_void() -> None:
    late = folded((0, start()), (1, stream(1, 10)), (5, start()), (6, stream(1, 99)), (7, table(1, Phase.STREAMING)))

    assert late.run == 6
    assert late.stream is not None
    assert late.stream.resume == {"lsn": 10}
    assert late.tables == {}


def test_the_newest_record_of_the_newest_run_is_in_force() -> None:
    found = folded(
        (0, start()), (1, table(1, Phase.PENDING)), (2, start()), (3, table(3, Phase.STREAMING)), (4, stream(3, 20))
    )

    assert found.run == 3
    assert found.tables["public.t"].phase is Phase.STREAMING
    assert found.stream is not None
    assert found.stream.resume == {"lsn": 20}


def test_a_removed_table_stands_no_more() -> None:
    found = folded((0, start()), (1, table(1, Phase.STREAMING)), (2, table(1, Phase.REMOVED)))

    assert found.tables == {}


def test_a_resume_point_is_whole_again_with_what_was_remembered_when_it_was_saved() -> None:
    first, second = remembering(1, 10, 1, t="one"), remembering(1, 20, 2, t="two")
    records: list[Record] = [start(), *first, *second]

    whole = folded(*enumerate(records))
    torn = folded(*enumerate(records[:-1]))

    assert whole.stream == replace(stream(1, 20), resume={"lsn": 20, REMEMBERED: {"t": "two"}})
    assert torn.stream == replace(stream(1, 10), resume={"lsn": 10, REMEMBERED: {"t": "one"}})


def test_what_is_remembered_serves_all_saves_that_name_it() -> None:
    memory, _ = remembering(1, 10, 1, t="one")
    _, later = remembering(1, 30, 1, t="one")

    assert folded((0, start()), (1, memory), (9, later)).stream == replace(
        stream(1, 30), resume={"lsn": 30, REMEMBERED: {"t": "one"}}
    )


def test_a_resume_point_without_what_was_remembered_is_not_taken_over() -> None:
    _, alone = remembering(1, 10, 1, t="one")
    found = folded((0, start()), (1, alone))

    with pytest.raises(ContractError, match="lacks memory 1 of run 1"):
        found.succeeded_by(2)


def test_a_source_that_remembers_nothing_has_one_record() -> None:
    assert apart(stream(1, 10), 1) == (stream(1, 10), None)


@pytest.mark.parametrize("record", [start(), stream(3, 7), table(3, Phase.BLOCKED), *remembering(2, 1, 4, t=[1])])
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    key, value = encode(record)

    assert decode(key, value) == record
    assert json.loads(value)
