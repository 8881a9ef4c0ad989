"""The settings of the peer's source connectors, one for each kind of source. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.debezium.connectors import Settings

#: Sizes of batch and queue, readers of a snapshot, short waits.
SHARED: Settings = {
    "tasks.max": "1",
    "max.batch.size": "16384",
    "max.queue.size": "65536",
    "poll.interval.ms": "5",
    "snapshot.fetch.size": "20000",
    "snapshot.max.threads": "2",
    "decimal.handling.mode": "precise",
    "schema.name.adjustment.mode": "avro",
    # Context headers on every message serve lineage tools alone, statistics serve dashboards.
    "extended.headers.enabled": "false",
    "statistics.metrics.enabled": "false",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a connector reads, and the ``prefix`` of its topics, which also names what it makes at the source."""

    url: str
    namespace: str
    prefix: str
    kafka: str


def postgresql(place: Place) -> Settings:
    """Return a connector for all tables of a schema in PostgreSQL."""
    return _connected(place) | {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.dbname": urlsplit(place.url).path.lstrip("/"),
        "plugin.name": "pgoutput",
        "slot.name": place.prefix,
        "slot.max.retries": "60",
        "slot.retry.delay.ms": "200",
        "publication.name": place.prefix,
        "publication.autocreate.mode": "filtered",
        "status.update.interval.ms": "1000",
    }


def mysql(place: Place) -> Settings:
    """Return a connector for all tables of a database in MySQL."""
    return _logged(place) | {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.ssl.mode": "disabled",
        # The server's second way to log in asks for a key, or for TLS.
        "driver.allowPublicKeyRetrieval": "true",
    }


def mariadb(place: Place) -> Settings:
    """Return a connector for all tables of a database in MariaDB."""
    return _logged(place) | {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "database.ssl.mode": "disable",
    }


def other_identity(settings: Settings, name: str) -> Settings:
    """Return what keeps a second connector of the same source out of the first one's way."""
    renamed = ("slot.name", "schema.history.internal.kafka.topic")
    return {key: f"{settings[key]}_{name}" for key in renamed if key in settings}


def _logged(place: Place) -> Settings:
    return _connected(place) | {
        "database.server.id": str(1_000_000 + sum(place.prefix.encode())),
        "database.include.list": place.namespace,
        "include.schema.changes": "false",
        "schema.history.internal.kafka.bootstrap.servers": place.kafka,
        "schema.history.internal.kafka.topic": f"{place.prefix}.history",
    }


def _connected(place: Place) -> Settings:
    parts = urlsplit(place.url)
    return SHARED | {
        "database.hostname": str(parts.hostname),
        "database.port": str(parts.port),
        "database.user": unquote(parts.username or ""),
        "database.password": unquote(parts.password or ""),
        "topic.prefix": place.prefix,
        "table.include.list": rf"{place.namespace}\..*",
    }


SOURCES: dict[str, Callable[[Place], Settings]] = {"postgresql": postgresql, "mysql": mysql, "mariadb": mariadb}
