"""Sets of transactions compared as sets: MySQL's UUID sets, with tags and without, and MariaDB's positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.mysql.log.gtid import GtidPosition, GtidSet

SOURCES = [
    "3e11fa47-71ca-11e1-9e33-c80aa9429562",
    "3e11fa47-71ca-11e1-9e33-c80aa9429562:billing",
    "4c9e3dfc-9d25-11e9-8d2e-0242ac1cfd7e",
]
GTIDS = st.frozensets(st.tuples(st.sampled_from(SOURCES), st.integers(1, 12)))


def set_of(gtids):
    made = GtidSet()
    for source, number in gtids:
        made = made.with_(f"{source}:{number}")
    return made


@given(GTIDS, GTIDS)
def test_a_set_covers_another_exactly_when_it_has_all_its_transactions(a, b):
    assert set_of(a).covers(set_of(b)) == (b <= a)


@given(GTIDS, GTIDS)
def test_what_is_left_of_a_set_is_the_difference_of_both(a, b):
    assert set_of(a).without(set_of(b)) == set_of(a - b)


@given(GTIDS)
def test_a_set_comes_back_from_its_text_whatever_the_order_it_was_made_in(gtids):
    made = set_of(gtids)
    assert GtidSet.parse(str(made)) == made == set_of(sorted(gtids, reverse=True))


def test_a_set_is_read_as_the_server_spells_it():
    text = (
        "4C9E3DFC-9D25-11E9-8D2E-0242AC1CFD7E:1,\n3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:11:5-6:billing:1-2:stock:7"
    )
    assert str(GtidSet.parse(text)) == (
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:5-6:11,"
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:billing:1-2,"
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:stock:7,"
        "4c9e3dfc-9d25-11e9-8d2e-0242ac1cfd7e:1"
    )


def test_numbers_that_touch_become_one_interval_and_empty_intervals_vanish():
    uuid = SOURCES[0]
    assert str(GtidSet.parse(f"{uuid}:4-6:1-3:9-8")) == f"{uuid}:1-6"


@pytest.mark.parametrize("text", ["0-1-100", "abc:1", "3e11fa47-71ca-11e1-9e33-c80aa942956x:1"])
def test_text_that_is_no_set_is_refused(text):
    with pytest.raises(ValueError):
        GtidSet.parse(text)


POSITIONS = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 3), st.integers(0, 9)))


def position_of(domains):
    return GtidPosition.parse(",".join(f"{domain}-{server}-{n}" for domain, (server, n) in domains.items()))


@given(POSITIONS, POSITIONS)
def test_a_position_covers_another_when_it_is_as_far_in_each_of_its_domains(a, b):
    expected = all(domain in a and a[domain][1] >= n for domain, (_, n) in b.items())
    assert position_of(a).covers(position_of(b)) == expected
    assert (position_of(b).without(position_of(a)) == GtidPosition()) == expected


@given(POSITIONS, st.integers(0, 3), st.integers(1, 3), st.integers(0, 9))
def test_a_transaction_moves_its_domain_alone(domains, domain, server, number):
    moved = position_of(domains).with_(f"{domain}-{server}-{number}")
    assert moved == position_of({**domains, domain: (server, number)})
    assert GtidPosition.parse(str(moved)) == moved
