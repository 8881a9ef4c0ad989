"""Where schemas live: the compacted topic ``<prefix>.schemas``, or a Confluent Schema Registry if one is configured.

A record of the topic has a fingerprint (16 hexadecimal digits) as its key and ``{"subject", "schema"}`` as its
value. A schema is stored before the first event that uses it, so whoever holds an event finds its schema.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from runtime import kafka
from runtime.errors import UnknownSchemaError, Unreachable
from schemas.errors import ContractError
from schemas.fingerprint import crc64, schema_text
from schemas.framing import Fingerprint, single_object
from schemas.naming import schemas_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runtime.schema_registry import Registry
    from runtime.settings import TopicsConfig
    from runtime.settings_kafka import KafkaConfig, SchemaRegistryConfig
    from schemas.framing import FrameId

#: Seconds between two looks for a schema.
_PAUSE_S: Final = 0.25


class SchemaWriter:
    """Stores the schemas of a pipeline's events; what :meth:`register` returned a frame for is durable."""

    def __init__(self, config: KafkaConfig, topics: TopicsConfig, prefix: str) -> None:
        self._store: _WritableStore = (
            _registry(config.schema_registry)
            if config.schema_registry
            else _Topic(config, topics, schemas_topic(prefix))
        )
        self._frames: dict[tuple[str, str], bytes] = {}

    def register_all(self, schemas: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Store many schemas, each under its subject, with one wait for the brokers; raises what :meth:`register` does.

        A registry is asked for one at a time anyway: that is left to :meth:`register`.
        """
        self._store.put_all([(subject, schema_text(schema)) for subject, schema in schemas])

    def register(self, subject: str, schema: dict[str, Any]) -> bytes:
        """Store a schema under a subject, durably, and return the frame of what is written with it.

        Raises ContractError when its id already means another schema, Unreachable when the store does not answer,
        Refused when the store says no.
        """
        text = schema_text(schema)
        frame = self._frames.get((subject, text))
        if frame is None:
            frame = self._frames[subject, text] = self._store.put(subject, text)
        return frame


class SchemaReader:
    """Finds the schemas of a pipeline's events, and remembers them.

    What is nowhere is waited for once in a while only: events whose schema nobody knows hold up nothing else.
    """

    def __init__(self, config: KafkaConfig, prefix: str) -> None:
        self._config, self._topic = config, schemas_topic(prefix)
        self._known: dict[FrameId, dict[str, Any]] = {}
        self._texts: dict[int, str] = {}
        self._read: set[tuple[int, bytes]] = set()
        self._next = 0
        self._patient_at = 0.0

    def get(self, frame: FrameId) -> dict[str, Any]:
        """Return the schema that a frame names, waiting a little for one that is not there yet.

        Raises UnknownSchemaError when it does not come, ContractError when what is stored under the name is not the
        schema of that name, Unreachable when the store does not answer.
        """
        found = self._known.get(frame)
        if found is None:
            found = self._known[frame] = self._find(frame)
        return found

    def _find(self, frame: FrameId) -> dict[str, Any]:
        if not isinstance(frame, Fingerprint):
            return _parse(self._registry().get(frame))
        began_at = time.monotonic()
        deadline = began_at + (self._config.schema_wait_seconds if began_at >= self._patient_at else 0.0)
        while True:
            text = self._text(frame.value)
            if text is not None:
                return _parse(text)
            if time.monotonic() >= deadline:
                self._patient_at = time.monotonic() + self._config.schema_pause_seconds
                raise UnknownSchemaError(f"schema {frame.value:016x} is not in the topic {self._topic}")
            time.sleep(_PAUSE_S)

    def _text(self, number: int) -> str | None:
        """Return the text of a schema. Where it is not known yet, what is new in the topic is read.

        If it is not there, the whole topic is: it may have been made anew.
        """
        for since in (self._next, 0):
            if number not in self._texts:
                self._learn(since)
        return self._texts.get(number)

    def _learn(self, since: int) -> None:
        for offset, key, value in kafka.read_all(self._config, self._topic, since):
            self._next = offset + 1
            if key is not None and value is not None and (offset, key) not in self._read:
                found, text = _read_record(self._topic, offset, key, value)
                self._texts[found] = text
                self._read.add((offset, key))

    def _registry(self) -> Registry:
        if self._config.schema_registry is None:
            raise UnknownSchemaError("an event of a schema registry, and kafka.schema_registry.url is not set")
        return _registry(self._config.schema_registry)


def _registry(config: SchemaRegistryConfig) -> Registry:
    from runtime.schema_registry import Registry  # noqa: PLC0415 - its client takes 0.3 s to load, and few have one

    return Registry(config)


class _WritableStore(Protocol):
    def put_all(self, schemas: Sequence[tuple[str, str]]) -> None:
        """Store schemas by subject durably, or leave that to :meth:`put`."""

    def put(self, subject: str, text: str) -> bytes:
        """Store a schema durably and return its frame."""


class _Topic:
    """The compacted topic of a pipeline."""

    def __init__(self, config: KafkaConfig, topics: TopicsConfig, name: str) -> None:
        self._config, self._topics, self._name = config, topics, name
        self._texts: dict[int, str] | None = None
        self._producer: Producer | None = None

    def put(self, subject: str, text: str) -> bytes:
        """Append a schema unless it is there, and wait until the brokers have it."""
        self.put_all([(subject, text)])
        return single_object(crc64(text.encode()))

    def put_all(self, schemas: Sequence[tuple[str, str]]) -> None:
        """Append those schemas that are not there, and wait until the brokers have all of them."""
        known, new, records = self._load(), dict[int, str](), []
        for subject, text in schemas:
            number = crc64(text.encode())
            if (known.get(number) or new.get(number, text)) != text:
                raise ContractError(f"two schemas have the fingerprint {number:016x}: the one of {subject} is refused")
            if number not in known and number not in new:
                new[number] = text
                content = json.dumps({"schema": json.loads(text), "subject": subject})
                records.append((f"{number:016x}".encode(), content.encode()))
        if records:
            self._append(records)
            known |= new

    def _load(self) -> dict[int, str]:
        if self._texts is None:
            if self._topics.create:
                settings = {"cleanup.policy": "compact", "max.message.bytes": str(self._topics.max_message_bytes)}
                kafka.ensure_topic(self._config, self._name, 1, self._topics.replication_factor, settings)
            self._texts = _read_topic(self._config, self._name)
        return self._texts

    def _append(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        if self._producer is None:
            self._producer = kafka.producer(self._config)
        failures: list[KafkaError] = []
        try:
            for key, value in records:
                self._producer.produce(self._name, value, key, partition=0, on_delivery=_collect(failures))
            left = self._producer.flush(self._config.delivery_timeout_seconds)
        except KafkaException as error:
            raise kafka.unavailable(error, self._config) from None
        if failures:
            raise kafka.unavailable(KafkaException(failures[0]), self._config)
        if left:
            self._producer.purge()
            raise Unreachable("no broker acknowledged a schema", self._name, "check that the brokers run")


def _collect(failures: list[KafkaError]) -> Callable[[KafkaError | None, object], None]:
    """Return a delivery callback that keeps the errors alone."""

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failures.append(error)

    return delivered


def _read_topic(config: KafkaConfig, topic: str) -> dict[int, str]:
    """Return the text of every schema in a topic, by fingerprint.

    Raises ContractError when a record is not what its key says: nothing may be decoded with it.
    """
    texts = {}
    for offset, key, value in kafka.read_all(config, topic):
        if key is not None and value is not None:
            number, text = _read_record(topic, offset, key, value)
            texts[number] = text
    return texts


def _read_record(topic: str, offset: int, key: bytes, value: bytes) -> tuple[int, str]:
    try:
        number, text = int(key, 16), schema_text(json.loads(value)["schema"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ContractError(f"{topic}, offset {offset}: no schema ({type(error).__name__})") from None
    if crc64(text.encode()) != number:
        raise ContractError(f"{topic}, offset {offset}: the schema is not the one that its fingerprint names")
    return number, text


def _parse(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"a stored schema cannot be read: {type(error).__name__}") from None
    if not isinstance(schema, dict):
        raise ContractError("a stored schema is no record's")
    return schema
