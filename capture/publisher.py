"""Blocks -> messages -> topics, and the certainty that all of them arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaException

from runtime import kafka, metrics
from runtime.failpoints import hit
from runtime.row_path import fewest_rows
from schemas.avro import envelope_schema, key_schema
from schemas.columnar.encode import ColumnEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from capture.source import Source
    from runtime.config import Pipeline
    from runtime.schema_store import SchemaWriter
    from schemas.columnar.block import AnyBlock
    from schemas.columnar.messages import AnyMessages
    from schemas.table import TableSchema

log = structlog.get_logger()

#: Longest time without a word to the source while we publish or the brokers take nothing, in seconds.
_BREATH_S = 1.0

#: What a record batch adds to key and value of its one message, headers included, generously.
_MESSAGE_OVERHEAD_BYTES = 512


class DeliveryFailed(Exception):
    """A message did not arrive: nothing after the saved position counts, the run must rewind."""


class RowTooLarge(Exception):
    """A row is larger than a message of its topic may be; nothing of its block was published. Sizes in bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a row takes {size} bytes as an event, and topics.max_message_bytes is {limit}")
        self.size = size


class Publisher:
    """Publishes blocks in order for each topic; :meth:`flush` returns once all of them are acknowledged.

    ``meanwhile`` is called about once a second while the brokers make us wait, so that the source's protocol stays
    alive. No message has a callback of its own: only errors are reported. ``rows`` counts what was handed over,
    ``reference_rows`` what of it was written one by one instead of by column.
    """

    def __init__(
        self, pipeline: Pipeline, source: Source, schemas: SchemaWriter, meanwhile: Callable[[], None]
    ) -> None:
        self._pipeline, self._source, self._schemas, self._meanwhile = pipeline, source, schemas, meanwhile
        self.rows = self.reference_rows = 0
        self._failure: str | None = None
        self._producer = kafka.producer(
            pipeline.kafka, on_delivery=self._delivered, **{"delivery.report.only.error": True}
        )
        self._topics: set[str] = set()
        self._encoders: dict[tuple[TableSchema, str], ColumnEncoder] = {}
        self._latest: dict[str, tuple[TableSchema, ColumnEncoder]] = {}
        self._breath = time.monotonic()

    def ensure_topics(self, topics: Iterable[str]) -> None:
        """Create tables' topics unless they are there or somebody else makes the topics; once for each run."""
        missing = [topic for topic in topics if topic not in self._topics]
        if self._pipeline.topics.create:
            own = self._pipeline.topics
            kafka.ensure_topics(self._pipeline.kafka, missing, own.partitions, own.replication_factor, self._settings())
        self._topics.update(missing)

    def announce(self, versions: Iterable[tuple[str, TableSchema]]) -> None:
        """Store the schemas of table versions, by topic, before they are needed: many at once cost one wait."""
        schemas = []
        for topic, table in versions:
            schemas.append((f"{topic}-value", envelope_schema(table, topic)))
            if (key := key_schema(table, topic)) is not None:
                schemas.append((f"{topic}-key", key))
        self._schemas.register_all(schemas)

    def publish(self, topic: str, block: AnyBlock) -> None:
        """Hand a block to the producer; waits while its queue is full. Raises DeliveryFailed or RowTooLarge."""
        encoder = self._encoder(block.table, topic)
        before = encoder.reference_rows
        messages = encoder.encode(block)
        self._fits(messages)
        headers, place = messages.headers, 0
        for keys, values in messages.batches():
            self._produce(topic, keys, values, headers, place)
            place += len(values)
        self._producer.poll(0)
        self._breathe()
        by_reference = encoder.reference_rows - before
        self.rows, self.reference_rows = self.rows + len(block), self.reference_rows + by_reference
        metrics.capture_published(block, by_reference)
        self._check()

    def delivered(self) -> bool:
        """Whether every message handed over is acknowledged; raises DeliveryFailed when one will not be."""
        self._producer.poll(0)
        self._check()
        return len(self._producer) == 0

    def flush(self) -> None:
        """Return once every message handed over is acknowledged; raises DeliveryFailed when one is not."""
        while self._producer.flush(_BREATH_S):
            self._meanwhile()
            self._check()
        self._check()

    def close(self) -> None:
        """Throw away whatever is not delivered: the saved position knows nothing of it."""
        self._producer.purge()
        self._producer.flush(5)

    def _produce(
        self,
        topic: str,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Mapping[int, list[tuple[str, bytes]]],
        first: int,
    ) -> None:
        """Hand over messages, of which the first has this place among the ``headers``."""
        produce = self._producer.produce
        place = first
        for key, value in zip(keys, values, strict=True):
            while True:
                try:
                    if headers and place in headers:
                        produce(topic, value, key, 0, headers=[*headers[place]])
                    else:
                        produce(topic, value, key, 0)
                except BufferError:
                    self._wait_for_room()
                except KafkaException as error:
                    raise DeliveryFailed(str(error.args[0].str() if error.args else error)) from error
                else:
                    break
            place += 1

    def _wait_for_room(self) -> None:
        self._producer.poll(0.1)
        self._check()
        self._breathe()

    def _fits(self, messages: AnyMessages) -> None:
        limit = self._pipeline.topics.max_message_bytes
        largest = messages.largest + _MESSAGE_OVERHEAD_BYTES
        if largest > limit:
            raise RowTooLarge(largest, limit)

    def _breathe(self) -> None:
        if time.monotonic() - self._breath > _BREATH_S:
            self._meanwhile()
            self._breath = time.monotonic()

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None and self._failure is None:
            self._failure = str(error)

    def _check(self) -> None:
        if self._failure is not None:
            raise DeliveryFailed(self._failure)

    def _encoder(self, table: TableSchema, topic: str) -> ColumnEncoder:
        latest = self._latest.get(topic)
        if latest is not None and latest[0] is table:  # to hash a version looks into all its columns
            return latest[1]
        encoder = self._encoders.get((table, topic))
        if encoder is None:
            encoder = self._encoders[table, topic] = self._new_encoder(table, topic)
        self._latest[topic] = table, encoder
        return encoder

    def _new_encoder(self, table: TableSchema, topic: str) -> ColumnEncoder:
        """Store the table version's schemas durably, then return what encodes its blocks."""
        envelope, key = envelope_schema(table, topic), key_schema(table, topic)
        encoder = ColumnEncoder(
            table,
            topic,
            self._pipeline.pipeline,
            [self._source.converter(column) for column in table.columns],
            [self._source.kernel(column) for column in table.columns],
            register=self._schemas.register,
        )
        encoder.fewest = fewest_rows()
        hit("capture.schema_stored")
        log.info("schema.stored", topic=topic, columns=len(table.columns), keyless=key is None, name=envelope["name"])
        return encoder

    def _settings(self) -> dict[str, str]:
        topics = self._pipeline.topics
        return {
            "cleanup.policy": topics.cleanup,
            "retention.ms": str(topics.retention_ms),
            "max.message.bytes": str(topics.max_message_bytes),
        }
