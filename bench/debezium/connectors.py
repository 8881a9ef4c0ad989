"""The settings of the peer's worker, converters and sink: tuned as its documentation says, and comparable.

Everything here is pure. Sources: the connectors' own descriptions of their settings, and Debezium's documentation on
batch and queue sizes, on ``consumer.max.poll.records`` of the sink (at least its batch), on Avro and on tombstones.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Settings = dict[str, str]

#: Rows of a batch of the sink, and the least that one poll must be able to bring.
SINK_BATCH = 10_000
_MIB = 1 << 20


class Format(Enum):
    """How events are written."""

    AVRO = "avro"
    #: With the schema in each message: the sink needs it.
    JSON = "json"
    #: Without: the smallest JSON, which nothing but another reader can apply.
    PLAIN_JSON = "plain json"


def worker(kafka: str, plugins: Sequence[str], port: int, offsets: str) -> Settings:
    """Return the worker's settings. Plugins say what they are (``service_load``), which saves seconds at its start."""
    return {
        "bootstrap.servers": kafka,
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.path": ",".join(plugins),
        "plugin.discovery": "service_load",
        "offset.storage.file.filename": offsets,
        "offset.flush.interval.ms": "1000",
        "connector.client.config.override.policy": "All",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    }


def converters(form: Format, registry: str, *, register: bool = False) -> Settings:
    """Return both converters of a connector.

    With ``auto-register`` on, the Avro converter asks the registry so often that it is slower than JSON; so schemas are
    registered beforehand (``register``) by a short run.
    """
    if form is Format.AVRO:
        converter = {
            "": "io.apicurio.registry.utils.converter.AvroConverter",
            ".apicurio.registry.url": registry,
            ".apicurio.registry.auto-register": str(register).lower(),
            ".apicurio.registry.find-latest": str(not register).lower(),
            ".apicurio.registry.retry-count": "20",
        }
    else:
        converter = {
            "": "org.apache.kafka.connect.json.JsonConverter",
            ".schemas.enable": str(form is Format.JSON).lower(),
        }
    return {f"{side}.converter{name}": value for side in ("key", "value") for name, value in converter.items()}


def producer(linger_ms: int) -> Settings:
    """Return settings of a source connector's producer: large compressed batches, and how long they wait to fill."""
    return {
        "producer.override.compression.type": "lz4",
        "producer.override.batch.size": str(_MIB),
        "producer.override.linger.ms": str(linger_ms),
        "producer.override.buffer.memory": str(64 * _MIB),
        "producer.override.max.request.size": str(16 * _MIB),
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.compression.type": "producer",
    }


def sink(url: str, topics: str, table: str, *, drop_tombstones: bool = True) -> Settings:
    """Return a JDBC sink into PostgreSQL: upserts by key, deletes, reduction buffer, arrays instead of single rows.

    ``topics`` is a regular expression. A tombstone makes the sink flush its buffer; unless ``drop_tombstones`` is off,
    a filter takes them out before.
    """
    parts = urlsplit(url)
    address = f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?reWriteBatchedInserts=true"
    settings = {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics.regex": topics,
        "connection.url": address,
        "connection.username": unquote(parts.username or ""),
        "connection.password": unquote(parts.password or ""),
        "collection.name.format": table,
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "schema.evolution": "basic",
        "batch.size": str(SINK_BATCH),
        "use.reduction.buffer": "true",
        "dialect.postgres.unnest.insert.enabled": "true",
        "consumer.override.max.poll.records": str(SINK_BATCH),
        "consumer.override.max.partition.fetch.bytes": str(16 * _MIB),
        "consumer.override.fetch.max.bytes": str(64 * _MIB),
        "consumer.override.session.timeout.ms": "10000",
        "consumer.override.heartbeat.interval.ms": "3000",
    }
    return settings | _TOMBSTONE_FILTER if drop_tombstones else settings


_TOMBSTONE_FILTER = {
    "transforms": "tombstones",
    "transforms.tombstones.type": "org.apache.kafka.connect.transforms.Filter",
    "transforms.tombstones.predicate": "tombstone",
    "predicates": "tombstone",
    "predicates.tombstone.type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
}


def one_row_only(table: str) -> Settings:
    """Return what makes a source connector read one row of a table and no more: its schemas are registered then."""
    return {
        "snapshot.mode": "initial_only",
        "snapshot.max.threads": "1",
        "snapshot.select.statement.overrides": table,
        f"snapshot.select.statement.overrides.{table}": f"SELECT * FROM {table} LIMIT 1",
    }


def properties(settings: Mapping[str, str]) -> str:
    """Return a Java properties file. Values here hold no line ends; backslashes are escaped."""
    return "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in sorted(settings.items()))
