"""Where schemas live: the compacted topic ``<prefix>.schemas``, or a Confluent Schema Registry if one is configured.

A record of the topic has a fingerprint (16 hexadecimal digits) as its key and ``{"subject", "schema"}`` as its
value. A schema is stored before the first event that uses it, so whoever holds an event finds its schema.
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from runtime import kafka
from runtime.errors import Refused, Unreachable
from schemas.errors import ContractError
from schemas.fingerprint import crc64, schema_text
from schemas.framing import Fingerprint, Guid, RegistryId, confluent, single_object
from schemas.naming import schemas_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.settings import KafkaConfig, TopicsConfig
    from schemas.framing import FrameId

#: Seconds for which a schema that is not there yet is looked for again: brokers may lag behind one another.
WAIT_S: Final = 5.0
_PAUSE_S: Final = 0.25
#: Seconds after which a schema that no broker acknowledged counts as not stored.
_DELIVERY_S: Final = 60
_REGISTRY_S: Final = 30


class UnknownSchemaError(ContractError):
    """No store that we may read holds the schema of an event."""


class SchemaWriter:
    """Stores the schemas of a pipeline's events; what :meth:`register` returned a frame for is durable."""

    def __init__(self, config: KafkaConfig, topics: TopicsConfig, prefix: str) -> None:
        self._store: _WritableStore = (
            _Registry(config.schema_registry_url)
            if config.schema_registry_url
            else _Topic(config, topics, schemas_topic(prefix))
        )
        self._frames: dict[tuple[str, str], bytes] = {}

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
    """Finds the schemas of a pipeline's events, and remembers them."""

    def __init__(self, config: KafkaConfig, prefix: str, wait_s: float = WAIT_S) -> None:
        self._config, self._topic, self._wait_s = config, schemas_topic(prefix), wait_s
        self._known: dict[FrameId, dict[str, Any]] = {}

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
            return self._registry().get(frame)
        deadline = time.monotonic() + self._wait_s
        while True:
            text = _read_topic(self._config, self._topic).get(frame.value)
            if text is not None:
                return _parse(text)
            if time.monotonic() >= deadline:
                raise UnknownSchemaError(f"schema {frame.value:016x} is not in the topic {self._topic}")
            time.sleep(_PAUSE_S)

    def _registry(self) -> _Registry:
        if not self._config.schema_registry_url:
            raise UnknownSchemaError("an event of a schema registry, and kafka.schema_registry.url is not set")
        return _Registry(self._config.schema_registry_url)


class _WritableStore(Protocol):
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
        known = self._load()
        number = crc64(text.encode())
        if known.get(number, text) != text:
            raise ContractError(f"two schemas have the fingerprint {number:016x}: the one of {subject} is refused")
        if number not in known:
            self._append(
                f"{number:016x}".encode(), json.dumps({"schema": json.loads(text), "subject": subject}).encode()
            )
            known[number] = text
        return single_object(number)

    def _load(self) -> dict[int, str]:
        if self._texts is None:
            if self._topics.create:
                settings = {"cleanup.policy": "compact", "max.message.bytes": str(self._topics.max_message_bytes)}
                kafka.ensure_topic(self._config, self._name, 1, self._topics.replication_factor, settings)
            self._texts = _read_topic(self._config, self._name)
        return self._texts

    def _append(self, key: bytes, value: bytes) -> None:
        if self._producer is None:
            self._producer = kafka.producer(self._config)
        failures: list[KafkaError] = []
        try:
            self._producer.produce(self._name, value, key, partition=0, on_delivery=_collect(failures))
            left = self._producer.flush(_DELIVERY_S)
        except KafkaException as error:
            raise kafka.unavailable(error, self._config) from None
        if failures:
            raise kafka.unavailable(KafkaException(failures[0]), self._config)
        if left:
            self._producer.purge()
            raise Unreachable("no broker acknowledged a schema", self._name, "check that the brokers run")


class _Registry:
    """A Confluent Schema Registry; subjects are ``<topic>-key`` and ``<topic>-value``."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).hostname or "the schema registry"  # the URL itself may hold a password
        self._client = SchemaRegistryClient({"url": url, "timeout": _REGISTRY_S})

    def put(self, subject: str, text: str) -> bytes:
        """Register a schema and return its frame; the registry keeps it before it answers."""
        return confluent(self._ask(lambda: self._client.register_schema(subject, Schema(text, "AVRO")), subject))

    def get(self, frame: RegistryId | Guid) -> dict[str, Any]:
        """Return the schema of an id or GUID."""
        if isinstance(frame, RegistryId):
            found = self._ask(lambda: self._client.get_schema(frame.value), f"schema {frame.value}")
        else:
            guid = str(UUID(bytes=frame.value))
            found = self._ask(lambda: self._client.get_schema_by_guid(guid), f"schema {guid}")
        return _parse(found.schema_str)

    def _ask(self, question: Callable[[], Any], about: str) -> Any:
        try:
            return question()
        except SchemaRegistryError as error:
            raise self._refusal(error, about) from None
        except Exception as error:  # noqa: BLE001 - the client hands on its HTTP library's errors, under no name of its own
            what = f"the schema registry does not answer ({type(error).__name__})"
            raise Unreachable(what, self._where, "check kafka.schema_registry.url") from None

    def _refusal(self, error: SchemaRegistryError, about: str) -> Exception:
        if error.http_status_code == HTTPStatus.NOT_FOUND:
            return UnknownSchemaError(f"{about} is not in the schema registry at {self._where}")
        if error.http_status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(f"the schema registry failed ({error.http_status_code})", self._where)
        what = f"the schema registry refuses {about} ({error.http_status_code})"
        fix = f"set the compatibility of {about} to NONE" if error.http_status_code == HTTPStatus.CONFLICT else ""
        return Refused(what, self._where, fix or "check the user and its rights at the registry")


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
