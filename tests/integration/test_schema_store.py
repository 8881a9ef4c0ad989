"""The schema store on a real broker, and against a schema registry that speaks the Confluent protocol."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka.admin import ConfigResource

from runtime import kafka as clients
from runtime import schema_store
from runtime.errors import Refused, UnknownSchemaError, Unreachable
from runtime.schema_store import SchemaReader, SchemaWriter
from runtime.settings import TopicsConfig
from runtime.settings_kafka import KafkaConfig, SchemaRegistryConfig
from schemas.avro import envelope_schema, key_schema
from schemas.errors import ContractError
from schemas.fingerprint import fingerprint
from schemas.framing import Fingerprint, Guid, RegistryId, read_frame
from schemas.naming import schemas_topic
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.clock import Clock
from tests.support.patience import PATIENCE_S

TOPIC = "shop.public.items"
TABLE = TableSchema("public", "items", (Column("id", ValueType(Kind.INT64), key_position=1),))
VALUE = envelope_schema(TABLE, TOPIC)
KEY = key_schema(TABLE, TOPIC)


@pytest.fixture
def broker(kafka) -> KafkaConfig:
    """Schemas that are nowhere are not waited for."""
    return KafkaConfig(bootstrap_servers=kafka, schema_wait_seconds=0)


def put(broker: KafkaConfig, topic: str, key: bytes, value: bytes | None) -> None:
    producer = clients.producer(broker)
    producer.produce(topic, value, key, partition=0)
    assert producer.flush(PATIENCE_S) == 0


@pytest.mark.live
def test_a_schema_is_found_by_its_frame_as_soon_as_it_is_registered(broker, pipeline_name):
    reader = SchemaReader(broker, pipeline_name)
    frame = SchemaWriter(broker, TopicsConfig(), pipeline_name).register(f"{TOPIC}-value", VALUE)
    assert reader.get(read_frame(frame)[0]) == VALUE


@pytest.mark.live
def test_a_reader_takes_up_schemas_that_came_after_it_first_looked(broker, pipeline_name):
    writer, reader = SchemaWriter(broker, TopicsConfig(), pipeline_name), SchemaReader(broker, pipeline_name)
    assert reader.get(read_frame(writer.register("a", VALUE))[0]) == VALUE
    assert reader.get(read_frame(writer.register("b", KEY))[0]) == KEY


@pytest.mark.live
def test_the_topic_is_compacted_and_takes_schemas_as_large_as_events(broker, pipeline_name):
    SchemaWriter(broker, TopicsConfig(), pipeline_name).register("a", VALUE)
    resource = ConfigResource(ConfigResource.Type.TOPIC, schemas_topic(pipeline_name))
    admin = clients.admin(broker)
    settings = admin.describe_configs([resource])[resource].result()
    assert settings["cleanup.policy"].value == "compact"
    assert settings["max.message.bytes"].value == str(TopicsConfig().max_message_bytes)


@pytest.mark.live
def test_registering_again_in_a_run_writes_nothing_more(broker, pipeline_name):
    writer = SchemaWriter(broker, TopicsConfig(), pipeline_name)
    assert writer.register("a", VALUE) == writer.register("a", VALUE)
    assert len(clients.read_all(broker, schemas_topic(pipeline_name))) == 1


@pytest.mark.live
def test_a_later_run_writes_only_what_is_not_there(broker, pipeline_name):
    SchemaWriter(broker, TopicsConfig(), pipeline_name).register("a", VALUE)
    later = SchemaWriter(broker, TopicsConfig(), pipeline_name)
    later.register("a", VALUE)
    later.register("b", KEY)
    assert len(clients.read_all(broker, schemas_topic(pipeline_name))) == 2


@pytest.mark.live
def test_many_schemas_are_stored_at_once_each_of_them_once(broker, pipeline_name):
    writer, reader = SchemaWriter(broker, TopicsConfig(), pipeline_name), SchemaReader(broker, pipeline_name)
    writer.register("a", VALUE)
    for _ in range(2):
        writer.register_all([("a", VALUE), ("b", KEY), ("c", KEY)])
    assert reader.get(read_frame(writer.register("b", KEY))[0]) == KEY
    assert len(clients.read_all(broker, schemas_topic(pipeline_name))) == 2


@pytest.mark.live
def test_a_schema_that_no_broker_took_is_not_registered(broker, pipeline_name):
    writer = SchemaWriter(broker, TopicsConfig(max_message_bytes=1024), pipeline_name)
    wide = TableSchema("public", "wide", tuple(Column(f"{i * i:x}", ValueType(Kind.INT64)) for i in range(200)))
    for _ in range(2):
        with pytest.raises(Unreachable):
            writer.register("a", envelope_schema(wide, TOPIC))


@pytest.mark.live
def test_a_schema_that_is_nowhere_is_unknown(broker, pipeline_name):
    with pytest.raises(UnknownSchemaError, match="00000000000004d2 is not in the topic"):
        SchemaReader(broker, pipeline_name).get(Fingerprint(1234))


@pytest.mark.live
def test_schemas_that_are_nowhere_are_not_waited_for_one_after_the_other(broker, pipeline_name, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(schema_store, "time", clock)
    reader = SchemaReader(broker.model_copy(update={"schema_wait_seconds": 5}), pipeline_name)
    for number in range(4):
        with pytest.raises(UnknownSchemaError):
            reader.get(Fingerprint(number))
    assert clock.now == 5


@pytest.mark.live
def test_how_long_none_is_waited_for_after_that_is_a_setting(broker, pipeline_name, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(schema_store, "time", clock)
    patient = broker.model_copy(update={"schema_wait_seconds": 5, "schema_pause_seconds": 0})
    reader = SchemaReader(patient, pipeline_name)
    for number in range(4):
        with pytest.raises(UnknownSchemaError):
            reader.get(Fingerprint(number))
    assert clock.now == 20


@pytest.mark.live
def test_a_reader_checks_each_schema_once(broker, pipeline_name, monkeypatch):
    checked: list[int] = []
    check = schema_store._read_record
    monkeypatch.setattr(schema_store, "_read_record", lambda *a: checked.append(a[1]) or check(*a))
    writer, reader = SchemaWriter(broker, TopicsConfig(), pipeline_name), SchemaReader(broker, pipeline_name)
    first = writer.register("a", VALUE)
    checked.clear()
    reader.get(read_frame(first)[0])
    reader.get(read_frame(writer.register("b", KEY))[0])
    assert checked == [0, 1]


@pytest.mark.live
def test_a_stored_schema_that_is_not_what_its_fingerprint_names_is_refused(broker, pipeline_name):
    SchemaWriter(broker, TopicsConfig(), pipeline_name).register("a", KEY)
    forged = json.dumps({"subject": "a", "schema": KEY}).encode()
    put(broker, schemas_topic(pipeline_name), f"{fingerprint(VALUE):016x}".encode(), forged)
    with pytest.raises(ContractError, match="not the one that its fingerprint names"):
        SchemaReader(broker, pipeline_name).get(Fingerprint(fingerprint(VALUE)))


@pytest.mark.live
@pytest.mark.parametrize("value", [b"", b"not json", b"{}", b"[]", b"[" * 100_000])
def test_a_record_that_is_no_schema_is_refused(broker, pipeline_name, value):
    clients.ensure_topic(broker, schemas_topic(pipeline_name), 1, 1, {})
    put(broker, schemas_topic(pipeline_name), b"00", value)
    with pytest.raises(ContractError, match="offset 0: no schema"):
        SchemaReader(broker, pipeline_name).get(Fingerprint(0))


@pytest.mark.live
def test_a_schema_whose_fingerprint_means_another_one_is_refused(broker, pipeline_name, monkeypatch):
    writer = SchemaWriter(broker, TopicsConfig(), pipeline_name)
    monkeypatch.setattr("runtime.schema_store.crc64", lambda _: 7)
    writer.register("a", VALUE)
    with pytest.raises(ContractError, match="two schemas have the fingerprint"):
        writer.register("b", KEY)


class FakeRegistry(BaseHTTPRequestHandler):
    """As much of the registry's REST interface as a client needs to register and to read."""

    schemas: list[dict]

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "incompatible" in self.path:
            self._answer(409, {"error_code": 409, "message": "canary"})
            return
        if body not in self.schemas:
            self.schemas.append(body)
        self._answer(200, {"id": self.schemas.index(body) + 1})

    def do_GET(self):
        *_, kind, name = self.path.partition("?")[0].split("/")
        number = int(name, 16) if kind == "guids" and "-" not in name else int(name.replace("-", ""), 16)
        number = number if kind == "guids" else int(name)
        if not 0 < number <= len(self.schemas):
            self._answer(404, {"error_code": 40403, "message": "Schema not found"})
            return
        self._answer(200, {"schema": self.schemas[number - 1]["schema"], "schemaType": "AVRO"})

    def log_message(self, *_):
        """Stay silent."""

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def with_registry():
    handler = type("Handler", (FakeRegistry,), {"schemas": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://user:canary@127.0.0.1:{server.server_address[1]}"
    yield KafkaConfig(bootstrap_servers="127.0.0.1:1", schema_registry=SchemaRegistryConfig(url=url))
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_registry_gives_confluent_frames_and_finds_their_schemas(with_registry):
    writer, reader = SchemaWriter(with_registry, TopicsConfig(), "shop"), SchemaReader(with_registry, "shop")
    frames = [writer.register(f"{TOPIC}-key", KEY), writer.register(f"{TOPIC}-value", VALUE)]
    assert [read_frame(frame)[0] for frame in frames] == [RegistryId(1), RegistryId(2)]
    assert [reader.get(read_frame(frame)[0]) for frame in frames] == [KEY, VALUE]


def test_a_registry_finds_a_schema_by_its_guid(with_registry):
    SchemaWriter(with_registry, TopicsConfig(), "shop").register("a", VALUE)
    assert SchemaReader(with_registry, "shop").get(Guid((1).to_bytes(16, "big"))) == VALUE


def test_a_schema_that_the_registry_does_not_have_is_unknown(with_registry):
    with pytest.raises(UnknownSchemaError, match="schema 9 is not in the schema registry"):
        SchemaReader(with_registry, "shop").get(RegistryId(9))


def test_a_registry_that_refuses_a_schema_is_told_of_without_what_it_said(with_registry):
    with pytest.raises(Refused, match="409") as caught:
        SchemaWriter(with_registry, TopicsConfig(), "shop").register("incompatible-value", VALUE)
    assert "compatibility of incompatible-value to NONE" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_registry_event_without_a_configured_registry_is_unknown():
    with pytest.raises(UnknownSchemaError, match="registry"):
        SchemaReader(KafkaConfig(bootstrap_servers="127.0.0.1:1"), "shop").get(RegistryId(1))


def test_a_registry_that_does_not_answer_is_unreachable():
    registry = SchemaRegistryConfig(url="http://user:canary@127.0.0.1:1")
    config = KafkaConfig(bootstrap_servers="127.0.0.1:1", schema_registry=registry)
    with pytest.raises(Unreachable) as caught:
        SchemaReader(config, "shop").get(RegistryId(1))
    assert "canary" not in str(caught.value)
