"""A saved position counts only on the server, or a successor of it, that wrote the log up to there."""

from __future__ import annotations

import pytest

from capture.sources.postgres import lsn
from capture.sources.postgres.history import difference, switch_points

SAVED = {"system_id": "7", "timeline": 1, "dbname": "shop", "slot": "s", "publication": 5}
HISTORY = "1\t0/5000028\tno recovery target specified\n\n# a comment\n2\t0/7000000\tanother\n"


def compare(now, at):
    return difference(SAVED, now, at, lambda _timeline: HISTORY)


def test_the_same_server_has_the_same_history():
    assert compare(SAVED, 2**40) is None


@pytest.mark.parametrize("name", ["system_id", "dbname", "slot", "publication"])
def test_another_server_slot_or_publication_has_another_history(name):
    assert compare({**SAVED, name: "other"}, 1) is not None


def test_a_failover_behind_the_saved_place_loses_nothing():
    assert compare({**SAVED, "timeline": 3}, 0x5000028) is None


def test_a_failover_before_the_saved_place_is_another_history():
    assert compare({**SAVED, "timeline": 3}, 0x5000029) is not None


def test_a_timeline_that_never_was_ours_is_another_history():
    assert difference({**SAVED, "timeline": 9}, {**SAVED, "timeline": 3}, 1, lambda _timeline: HISTORY) is not None


def test_the_places_where_timelines_were_left_are_read():
    assert switch_points(HISTORY) == {1: 0x5000028, 2: 0x7000000}


def test_an_lsn_is_read_and_written_as_the_server_does():
    assert lsn.parse("16/B374D848") == 0x16B374D848
    assert lsn.render(0x16B374D848) == "16/B374D848"
    assert lsn.render(lsn.parse("0/0")) == "0/0"
