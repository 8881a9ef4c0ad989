"""Which tables `ferryman resync` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.commands.resync import chosen
from runtime.errors import BadInput
from runtime.postgres import spell
from schemas.positions import Positions, TableRecord


def standing(*names: str) -> Positions:
    return Positions(1, None, {name: TableRecord(run=1, table=name, topic=name) for name in names})


TABLES = standing("public.orders", "public.order_lines", 'public."Odd Name"')


def test_named_tables_are_taken_once_and_in_the_order_given():
    names = chosen(TABLES, ["public.orders", 'public."Odd Name"', "public.orders"], everything=False)

    assert names == ("public.orders", 'public."Odd Name"')


def test_a_name_may_be_quoted_more_than_it_needs():
    assert chosen(TABLES, ['"public"."orders"'], everything=False) == ("public.orders",)


def test_all_means_every_table():
    assert set(chosen(TABLES, [], everything=True)) == set(TABLES.tables)


def test_an_unknown_name_is_refused_with_those_that_look_like_it():
    with pytest.raises(BadInput) as refused:
        chosen(TABLES, ["public.order"], everything=False)

    assert refused.value.exit_code == 2
    assert "public.orders" in refused.value.fix


@pytest.mark.parametrize(
    ("given", "everything"), [([], False), (["public.orders"], True), (["orders"], False), (["a.b.c"], False)]
)
def test_what_is_no_table_is_refused(given, everything):
    with pytest.raises(BadInput):
        chosen(TABLES, given, everything=everything)


def test_a_pipeline_without_tables_says_so():
    with pytest.raises(BadInput, match="no tables yet"):
        chosen(standing(), [], everything=True)


@given(st.text(min_size=1).filter(lambda t: "\0" not in t), st.text(min_size=1).filter(lambda t: "\0" not in t))
def test_every_spelled_name_is_found(namespace, name):
    spelled = spell(namespace, name)

    assert chosen(standing(spelled), [spelled], everything=False) == (spelled,)
