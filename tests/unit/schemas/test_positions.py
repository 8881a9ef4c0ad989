"""What stands in the positions topic, told record by record."""

from __future__ import annotations

from schemas.positions import Phase, Positions, Record, StartRecord, StreamRecord, TableRecord, encode


def folded(*records: tuple[int, Record]) -> Positions:
    positions = Positions()
    for offset, record in records:
        positions.add(offset, *encode(record))
    return positions


def start() -> StartRecord:
    return StartRecord("id", "source", 0)


def stream(run: int, lsn: int) -> StreamRecord:
    return StreamRecord(run, "source", 1, {"lsn": lsn}, {}, {})


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
