"""``ferryman events`` on a real broker."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from runtime import kafka as clients
from runtime.schema_store import SchemaWriter
from runtime.settings import TopicsConfig
from runtime.settings_kafka import KafkaConfig
from schemas.block import Block, Op, Transaction
from schemas.codec import BlockEncoder
from schemas.naming import table_topic
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.strategies import freeze, thaw

pytestmark = pytest.mark.live

TABLE = TableSchema("public", "odd name", (Column("id", ValueType(Kind.INT64), key_position=1, identity=True),))


@pytest.fixture
def topic(kafka, pipeline_name):
    """A topic with a create, a delete, its tombstone, and bytes that are no event."""
    config, name = KafkaConfig(bootstrap_servers=kafka), table_topic(pipeline_name, TABLE.namespace, TABLE.name)
    clients.ensure_topic(config, name, 1, 1, {})
    writer = SchemaWriter(config, TopicsConfig(), pipeline_name)
    row = (freeze(7),)
    block = Block(
        TABLE,
        [Transaction(1, 2, "3")],
        ops=[Op.CREATE, Op.DELETE],
        tx=[0, 0],
        ordinals=[0, 2],
        before=[None, row],
        after=[row, None],
        last=[False, True],
        key_change=[False, False],
    )
    producer = clients.producer(config)
    for message in BlockEncoder(TABLE, name, pipeline_name, [thaw], writer.register).encode(block):
        producer.produce(name, message.value, message.key)
    producer.produce(name, b"no event")
    assert producer.flush(30) == 0
    return name


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "operate.main", "events", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr


def test_all_messages_of_a_topic_are_shown_in_order_and_unreadable_ones_are_told_by_the_exit_code(kafka, topic):
    code, shown, _ = run(topic, "--kafka", kafka)
    assert [(event["offset"], event["op"]) for event in shown] == [
        (0, "c"),
        (1, "d"),
        (2, "tombstone"),
        (3, "unreadable"),
    ]
    assert shown[0]["after"] == shown[2]["key"] == {"id": 7}
    assert code == 1


def test_reading_begins_at_an_offset_and_ends_after_so_many(kafka, topic, tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(
        f"pipeline: shop\nkafka: {{bootstrap_servers: '{kafka}'}}\nsource: {{type: postgresql, url: '${{env:NONE}}'}}\ntarget: {{url: '${{env:NONE}}'}}\ntables: [{{include: 'public.*'}}]\n"
    )
    code, shown, errors = run(topic, "--pipeline-file", str(file), "--from", "1", "--max", "2", "--follow")
    assert ([event["op"] for event in shown], code) == (["d", "tombstone"], 0), errors


def test_nothing_is_behind_the_end(kafka, topic):
    assert run(topic, "--kafka", kafka, "--from", "end")[:2] == (0, [])


@pytest.mark.parametrize(
    ("arguments", "reason"), [(["--kafka", "K", "--from", "noon"], "no such place"), ([], "--pipeline-file")]
)
def test_what_cannot_be_meant_is_bad_input(topic, arguments, reason):
    code, shown, errors = run(topic, *arguments)
    assert (code, shown) == (2, [])
    assert reason in errors


def test_a_topic_that_is_not_there_is_bad_input(kafka):
    code, _, errors = run("no_such.public.topic", "--kafka", kafka)
    assert code == 2
    assert "there is no topic" in errors
