"""Kafka clients: settings that lose nothing, errors that say what to do, and the few calls that everybody needs."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runtime.errors import Refused, Unreachable
from runtime.names import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.config import KafkaConfig

#: Seconds after which a broker that does not answer a single question counts as unreachable.
TIMEOUT_S: Final = 15.0

_COMMON: Final[dict[str, Any]] = {
    "client.id": "ferryman",
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 2_000,  # a broker that came back is found within two seconds
    "log.connection.close": False,  # idle connections are closed all day long
}

_PRODUCER: Final[dict[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 600_000,  # an outage shorter than this costs time, not a rewind
    "compression.type": "lz4",
    "linger.ms": 5,
    "partitioner": "murmur2_random",  # the partition that Java producers would choose
    "message.max.bytes": 1_000_000_000,  # the topic's max.message.bytes decides, not the client
    "queue.buffering.max.kbytes": 131_072,  # the source is read no faster than the brokers take
    "queue.buffering.max.messages": 500_000,
}

_CONSUMER: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a gap is reported, never jumped over
    "check.crcs": True,
    "allow.auto.create.topics": False,
    "queued.max.messages.kbytes": 32_768,
}


class KafkaUnavailable(Unreachable):
    """No broker answers now."""


class KafkaRefused(KafkaUnavailable, Refused):
    """The brokers answered and said no: authentication, authorization, or a setting of a topic."""


class Admin(AdminClient):
    """An administration client that knows its address, and the last trouble that librdkafka told of."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self.address, self.trouble = kafka.bootstrap_servers, _Trouble()
        super().__init__(_settings(kafka, {}, {"error_cb": self.trouble}), logger=_LOGGER)


def producer(kafka: KafkaConfig, **overrides: Any) -> Producer:
    """Return an idempotent producer; ``overrides`` are librdkafka settings (``**{"linger.ms": 50}``)."""
    return Producer(_settings(kafka, _PRODUCER, overrides), logger=_LOGGER)


def consumer(kafka: KafkaConfig, group: str | None, **overrides: Any) -> Consumer:
    """Return a consumer that commits nothing by itself and reports a gap instead of jumping over it.

    Without a ``group`` it is for ``assign`` only.
    """
    group_id = {"group.id": group or "ferryman.none"}
    return Consumer(_settings(kafka, {**_CONSUMER, **group_id}, overrides), logger=_LOGGER)


def admin(kafka: KafkaConfig) -> Admin:
    """Return an administration client."""
    return Admin(kafka)


def ensure_topic(
    kafka: KafkaConfig | Admin, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]
) -> None:
    """Make a topic unless it exists, and wait until every partition has a leader.

    An existing topic is left as it is. ``replication_factor`` -1 is the broker's default. Raises KafkaUnavailable,
    or KafkaRefused when the brokers do not make it.
    """
    client = _admin(kafka)
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication_factor, config=dict(config))
    try:
        client.create_topics([topic], request_timeout=TIMEOUT_S)[name].result(TIMEOUT_S + 5)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise _ours(error.args[0], client.address, client.trouble, f"topic {name}") from None
    _wait_until_visible(client, name)


def topic_ids(kafka: KafkaConfig | Admin, names: Iterable[str]) -> dict[str, str]:
    """Return the ids of the topics that exist, by name: a topic made anew under its old name has a new one."""
    client, wanted = _admin(kafka), list(names)
    if not wanted:
        return {}
    found = {}
    for name, future in client.describe_topics(TopicCollection(wanted), request_timeout=TIMEOUT_S).items():
        try:
            found[name] = str(future.result(TIMEOUT_S + 5).topic_id)
        except KafkaException as error:
            if error.args[0].code() not in _NO_TOPIC:
                raise _ours(error.args[0], client.address, client.trouble, f"topic {name}") from None
    return found


def read_all(kafka: KafkaConfig, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """Return (offset, key, value) of everything before the end that partition 0 of ``topic`` has at the call.

    An absent topic reads as empty. Raises KafkaUnavailable.
    """
    trouble = _Trouble()
    own = {"enable.partition.eof": True, "isolation.level": "read_uncommitted", "error_cb": trouble}
    reader = consumer(kafka, None, **own)
    try:
        _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_S)
        return _read_until(reader, topic, end) if end > 0 else []
    except KafkaException as error:
        if error.args[0].code() in _NO_TOPIC:
            return []
        raise _ours(error.args[0], kafka.bootstrap_servers, trouble, f"topic {topic}") from None
    finally:
        reader.close()


def check(error: KafkaError, kafka: KafkaConfig) -> None:
    """Raise what a consumer's message error means; return if the client gets over it by itself (or it is an EOF)."""
    if error.code() == _EOF or (error.code() not in _REFUSALS and (error.retriable() or error.code() in _PASSING)):
        return
    raise _ours(error, kafka.bootstrap_servers, _Trouble(), "")


def unavailable(error: KafkaException, kafka: KafkaConfig) -> KafkaUnavailable:
    """Return an exception of the client as ours: KafkaRefused, or KafkaUnavailable for all that may pass."""
    return _ours(error.args[0], kafka.bootstrap_servers, _Trouble(), "")


class _Trouble:
    """The callback for what happens behind a client's back; remembers the last that explains a silence."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if self.last is None or error.code() in _REFUSALS:
            self.last = error


def _settings(kafka: KafkaConfig, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Ours give way to the pipeline's ``properties``, and those to what the code itself asks for."""
    address = {"bootstrap.servers": kafka.bootstrap_servers}
    return {**_COMMON, "error_cb": _log_error, **defaults, **kafka.properties, **address, **overrides}


def _log_error(error: KafkaError) -> None:
    _LOGGER.warning("%s", error.str())


def _admin(kafka: KafkaConfig | Admin) -> Admin:
    return kafka if isinstance(kafka, Admin) else Admin(kafka)


def _wait_until_visible(client: Admin, name: str) -> None:
    """Wait until the brokers that we ask know a leader of each partition."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            topic = client.list_topics(name, timeout=TIMEOUT_S).topics[name]
        except KafkaException as error:
            raise _ours(error.args[0], client.address, client.trouble, f"topic {name}") from None
        if topic.error is None and topic.partitions and all(p.leader >= 0 for p in topic.partitions.values()):
            return
        time.sleep(0.02)
    raise KafkaUnavailable(f"topic {name} has no leader", client.address, "check that all brokers of the cluster run")


def _read_until(reader: Consumer, topic: str, end: int) -> list[tuple[int, bytes | None, bytes | None]]:
    """Read partition 0 from its beginning up to ``end``; compaction leaves gaps, so the EOF mark ends it too."""
    reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    rows: list[tuple[int, bytes | None, bytes | None]] = []
    heard = time.monotonic()
    while time.monotonic() - heard < TIMEOUT_S:
        for message in reader.consume(10_000, timeout=0.02):
            heard, error, offset = time.monotonic(), message.error(), message.offset()
            if error is None and offset is not None and offset < end:
                rows.append((offset, message.key(), message.value()))
                if offset == end - 1:
                    return rows
            elif error is None or error.code() == _EOF:
                return rows
            elif not error.retriable() and error.code() not in _PASSING:
                raise KafkaException(error)
    raise KafkaException(KafkaError(_TIMED_OUT))


#: librdkafka's own codes; the underscore is part of their public names.
_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
_TIMED_OUT: Final = KafkaError._TIMED_OUT  # noqa: SLF001
_PASSING: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)  # noqa: SLF001
#: How the brokers and the client say that there is no such topic.
_NO_TOPIC: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
)

_LOGIN: Final = "check kafka.properties: security.protocol, sasl.mechanism, sasl.username, sasl.password"
_GRANT: Final = "grant the principal the right that the message names (capture: Create, Write, Read; apply: Read)"
_TOPIC: Final = "change `topics:` in the pipeline file, or the brokers' limits"

#: Codes that only a person can change, and how.
_REFUSALS: Final[dict[int, str]] = {
    KafkaError._AUTHENTICATION: _LOGIN,  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError.ILLEGAL_SASL_STATE: _LOGIN,
    KafkaError._SSL: "check kafka.properties: security.protocol, ssl.ca.location",  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _GRANT,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _GRANT,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _GRANT,
    KafkaError.INVALID_REPLICATION_FACTOR: _TOPIC,
    KafkaError.INVALID_PARTITIONS: _TOPIC,
    KafkaError.INVALID_CONFIG: _TOPIC,
    KafkaError.POLICY_VIOLATION: _TOPIC,
    KafkaError.TOPIC_EXCEPTION: _TOPIC,
}


def _ours(error: KafkaError, address: str, trouble: _Trouble, about: str) -> KafkaUnavailable:
    """Return an error as ours; a silence is explained by the trouble that was told of meanwhile."""
    cause = trouble.last if trouble.last is not None and error.code() in _PASSING else error
    what = visible(cause.str()) + (f" ({about})" if about else "")
    fix = _REFUSALS.get(cause.code())
    if fix is not None:
        return KafkaRefused(what, address, fix)
    return KafkaUnavailable(what, address, "check kafka.bootstrap_servers, and that the brokers run and can be reached")


_LOGGER: Final = logging.getLogger("librdkafka")
