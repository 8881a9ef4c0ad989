"""Debezium as a subject: one Connect worker, whichever connectors run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import Consumer, TopicPartition

from bench import watch
from bench.debezium import connectors, sources
from bench.debezium.connectors import Format
from bench.debezium.worker import Worker

if TYPE_CHECKING:
    from bench.debezium.connectors import Settings
    from bench.debezium.jars import Jars
    from bench.debezium.jvm import Jvm
    from bench.process import Process
    from bench.world import World


@dataclass(frozen=True, slots=True)
class Installation:
    """What every worker is started with: programs, Java, and where the registry answers."""

    jars: Jars
    java: Jvm
    registry: str


class Debezium:
    """A source connector and a sink. ``default_tombstones`` lets tombstones reach the sink, as they do by default."""

    opening = 0

    def __init__(
        self, world: World, installation: Installation, form: Format, *, default_tombstones: bool = False
    ) -> None:
        self._world, self._installation, self._form = world, installation, form
        self._default_tombstones = default_tombstones
        self.applies = form is not Format.PLAIN_JSON
        self.name = f"debezium {form.value}" + (", default tombstones" if default_tombstones else "")
        self._prefix = f"{world.name}_{form.name.lower()}"
        self._sink = self._prefix + ("_tombstones" if default_tombstones else "") + "_sink"
        self._snapshot = "initial"
        self.target = world.new_target(self._sink)

    def topic(self, table: str) -> str:
        """Return the topic of a table."""
        return f"{self._prefix}.{self._world.namespace}.{table}"

    def announce(self) -> None:
        """Have Avro's schemas registered, by a run that reads one row: it stays in the topic as its first message."""
        if self._form is not Format.AVRO:
            return
        table = f"{self._world.namespace}.{self._world.table.name}"
        settings = self._source(register=True) | connectors.one_row_only(table)
        settings |= sources.other_identity(settings, "announce")
        worker = self._worker("announce", {f"{self._prefix}_announce": settings})
        with watch.Topic(self._world.kafka, self.topic(self._world.table.name)) as topic:
            topic.wait(1, worker)
        worker.stop()

    def keep_changes(self, rows: int) -> None:
        """Make slot and publication: the connector then takes no snapshot, and begins where the slot was made.

        Where there are no slots, a run carries the ``rows`` that are there; its offset is kept.
        """
        if self._world.site.kind == "postgresql":
            self._make_slot()
        else:
            with watch.Topic(self._world.kafka, self.topic(self._world.table.name)) as topic:
                end = topic.end() + rows
                worker = self.capture()
                topic.wait(end, worker)
            worker.stop()

    def _make_slot(self) -> None:
        table = f"{self._world.namespace}.{self._world.table.name}"
        with psycopg.connect(self._world.source, autocommit=True) as connection:
            connection.execute(f"CREATE PUBLICATION {self._prefix} FOR TABLE {table}")
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (self._prefix,))
        self._snapshot = "no_data"

    def settle(self, rows: int) -> None:
        """Fill a table like the source's: its topic has the changes alone."""
        with psycopg.connect(self.target, autocommit=True) as connection:
            self._world.table.create(connection, rows)

    def capture(self) -> Process:
        """Start a worker with the source connector."""
        return self._worker("capture", {self._prefix: self._source()})

    def apply(self) -> Process:
        """Start a worker with the sink."""
        return self._worker("apply", {self._sink: self._apply()})

    def pipeline(self) -> list[Process]:
        """Start one worker with both, and no waiting for fuller batches."""
        return [self._worker("pipeline", {self._prefix: self._source(linger_ms=0), self._sink: self._apply()})]

    def skip_to(self, offset: int) -> None:
        """Let the sink begin at this offset of the topic."""
        group = {"bootstrap.servers": self._world.kafka, "group.id": f"connect-{self._sink}"}
        consumer = Consumer(group)
        place = TopicPartition(self.topic(self._world.table.name), 0, offset)
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()

    def _source(self, *, register: bool = False, linger_ms: int = 5) -> Settings:
        place = sources.Place(self._world.source, self._world.namespace, self._prefix, self._world.kafka)
        return (
            sources.SOURCES[self._world.site.kind](place)
            | {"snapshot.mode": self._snapshot}
            | connectors.producer(linger_ms)
            | connectors.converters(self._form, self._installation.registry, register=register)
        )

    def _apply(self) -> Settings:
        topics = rf"{self._prefix}\.{self._world.namespace}\..*"
        sink = connectors.sink(self.target, topics, "${source.table}", drop_tombstones=not self._default_tombstones)
        # A static member: after a crash it has its partition back at once.
        sink["consumer.override.group.instance.id"] = self._sink
        return sink | connectors.converters(self._form, self._installation.registry)

    def _worker(self, role: str, settings: dict[str, Settings]) -> Worker:
        folder = self._world.folder / f"{self._sink}-{role}"
        state = self._world.folder / f"{self._prefix}.offsets"
        return Worker(self._installation.jars, self._installation.java, self._world.kafka, folder, state, settings)
