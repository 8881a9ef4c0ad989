"""Topic names: another one for every table, and always one that Kafka takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.avro_names import avro_name, avro_namespace
from schemas.errors import ContractError
from schemas.naming import TakenTopics, control_topic, positions_topic, prefix_of, schemas_topic, table_topic
from tests.support.strategies import names

LEGAL_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
LEGAL_AVRO = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PREFIX = "p" * 40

#: Names of few characters, so that different ones come close to each other.
confusable = st.text("_x205f-.h", min_size=1, max_size=12)
any_name = names | confusable | st.text(min_size=1, max_size=70).map(lambda text: text * 3)


@given(any_name, any_name)
def test_kafka_takes_the_topic_of_any_table(namespace, name):
    topic = table_topic(PREFIX, namespace, name)
    assert LEGAL_TOPIC.fullmatch(topic)
    assert topic.count(".") == 2
    assert prefix_of(topic) == PREFIX


@given(any_name, any_name, any_name, any_name)
def test_different_tables_have_different_topics(namespace, name, other_namespace, other_name):
    assume((namespace, name) != (other_namespace, other_name))
    assert table_topic(PREFIX, namespace, name) != table_topic(PREFIX, other_namespace, other_name)


@given(st.lists(st.tuples(confusable, confusable), min_size=2, max_size=8, unique=True))
def test_topics_that_kafka_would_confuse_get_a_hash(tables):
    topics, taken = [], TakenTopics()
    for namespace, name in tables:
        topics.append(table_topic("shop", namespace, name, taken))
        taken.add(topics[-1])
    assert len({topic.replace(".", "_") for topic in topics}) == len(tables)


@given(any_name, any_name)
def test_no_table_has_the_topic_of_ferryman_itself(namespace, name):
    own = {positions_topic("shop"), schemas_topic("shop"), control_topic("shop")}
    assert table_topic("shop", namespace, name) not in own


def test_an_ordinary_table_has_its_ordinary_topic():
    assert table_topic("shop", "public", "order_items") == "shop.public.order_items"


def test_an_odd_name_is_spelled_out():
    assert table_topic("shop", "public", "my-Table é") == "shop.public.my--Table-20--e9-"


def test_a_confusable_topic_is_a_hashed_one_always_the_same():
    taken = TakenTopics({"shop.a.b_c"})
    topic = table_topic("shop", "a_b", "c", taken)
    assert re.fullmatch(r"shop\.a_b\.c-h[0-9a-f]{16}", topic)
    assert topic == table_topic("shop", "a_b", "c", taken)


def test_a_table_whose_every_name_is_taken_is_refused():
    hashed = table_topic("shop", "a_b", "c", TakenTopics({"shop.a.b_c"}))
    with pytest.raises(ContractError, match="belongs to another table"):
        table_topic("shop", "a_b", "c", TakenTopics({"shop.a.b_c", hashed}))


@pytest.mark.parametrize(("namespace", "name"), [("", "t"), ("s", "")])
def test_an_empty_name_is_refused(namespace, name):
    with pytest.raises(ContractError):
        table_topic("shop", namespace, name)


@given(any_name, any_name)
def test_avro_names_are_legal_and_different_for_different_names(one, other):
    assert LEGAL_AVRO.fullmatch(avro_name(one))
    assert (avro_name(one) == avro_name(other)) is (one == other)


@given(st.from_regex(LEGAL_AVRO, fullmatch=True))
def test_a_legal_avro_name_stays_as_it_is_unless_it_looks_escaped(name):
    assert avro_name(name) == name or re.search("_x[0-9a-f]*_", name)


def test_an_empty_avro_name_is_not_that_of_any_other():
    assert avro_name("") == "_x_"
    assert avro_name("_x_") != "_x_"


def test_an_avro_namespace_has_the_parts_of_its_topic():
    assert avro_namespace("shop.public.my--table") == "shop.public.my_x2d__x2d_table"
