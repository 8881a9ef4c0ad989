"""Kafka clients: settings that lose nothing, errors that say what to do, and the few calls that everybody needs."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from runtime.errors import BadInput
from runtime.kafka_errors import (
    ELECTING,
    EOF,
    LOGGER,
    NO_TOPIC,
    PASSING,
    PROPERTIES,
    REFUSALS,
    TIMED_OUT,
    KafkaRefused,
    KafkaUnavailable,
    Trouble,
    explain,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from confluent_kafka.admin._metadata import TopicMetadata
    from confluent_kafka.admin._topic import TopicDescription

    from runtime.config import KafkaConfig

T = TypeVar("T")

__all__ = [
    "Admin",
    "KafkaRefused",
    "KafkaUnavailable",
    "admin",
    "check",
    "consumer",
    "ensure_topic",
    "ensure_topics",
    "once_led",
    "partitions",
    "producer",
    "read_all",
    "topic_ids",
    "unavailable",
    "watermarks",
]

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
    "linger.ms": 0,  # nobody waits; what comes while requests are on their way is sent together anyway
    "partitioner": "murmur2_random",  # the partition that Java producers would choose
    "message.max.bytes": 1_000_000_000,  # the topic's max.message.bytes decides, not the client
    "queue.buffering.max.kbytes": 131_072,  # the source is read no faster than the brokers take
    "queue.buffering.max.messages": 500_000,
}

#: Pause between two looks whether a partition has a leader, in seconds: an election takes some tens of milliseconds.
_ELECTION_S: Final = 0.02

_CONSUMER: Final[dict[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a gap is reported, never jumped over
    "check.crcs": True,
    "allow.auto.create.topics": False,
    "queued.max.messages.kbytes": 32_768,
}


class Admin(AdminClient):
    """An administration client that knows its address, and the last trouble that librdkafka told of.

    ``timeout_s``: how long it waits for an answer, in seconds.
    """

    def __init__(self, kafka: KafkaConfig) -> None:
        self.timeout_s = kafka.request_timeout_seconds
        self.address, self.trouble = kafka.bootstrap_servers, Trouble()
        settings = _settings(kafka, {}, {"error_cb": self.trouble})
        with _refusing_settings():
            super().__init__(settings, logger=LOGGER)


def producer(kafka: KafkaConfig, **overrides: Any) -> Producer:
    """Return an idempotent producer; ``overrides`` are librdkafka settings (``**{"linger.ms": 50}``)."""
    with _refusing_settings():
        return Producer(_settings(kafka, _PRODUCER, overrides), logger=LOGGER)


def consumer(kafka: KafkaConfig, group: str | None, **overrides: Any) -> Consumer:
    """Return a consumer that commits nothing by itself and reports a gap instead of jumping over it.

    Without a ``group`` it is for ``assign`` only.
    """
    group_id = {"group.id": group or "ferryman.none"}
    with _refusing_settings():
        return Consumer(_settings(kafka, {**_CONSUMER, **group_id}, overrides), logger=LOGGER)


def admin(kafka: KafkaConfig) -> Admin:
    """Return an administration client."""
    return Admin(kafka)


def ensure_topic(
    kafka: KafkaConfig | Admin, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]
) -> None:
    """Make a topic unless it exists, as :func:`ensure_topics` does."""
    ensure_topics(kafka, [name], partitions, replication_factor, config)


def ensure_topics(
    kafka: KafkaConfig | Admin,
    names: Sequence[str],
    partitions: int,
    replication_factor: int,
    config: Mapping[str, str],
) -> None:
    """Make all topics that do not exist, in one request, and wait until every partition has a leader.

    Existing topics are left as they are. ``replication_factor`` -1 is the broker's default. Raises KafkaUnavailable,
    or KafkaRefused when the brokers do not make one.
    """
    if not names:
        return
    client = _admin(kafka)
    settings = dict(config)
    topics = [NewTopic(name, partitions, replication_factor=replication_factor, config=settings) for name in names]
    for name, made in client.create_topics(topics, request_timeout=client.timeout_s).items():
        try:
            made.result(client.timeout_s + 5)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise _failed(client, error, client.address, client.trouble, f"topic {name}") from None
    _wait_until_visible(client, names)


def topic_ids(kafka: KafkaConfig | Admin, names: Iterable[str]) -> dict[str, str]:
    """Return the ids of the topics that exist, by name: a topic made anew under its old name has a new one."""
    return {name: str(topic.topic_id) for name, topic in _described(_admin(kafka), names)}


def partitions(kafka: KafkaConfig | Admin, names: Iterable[str]) -> set[tuple[str, int]]:
    """Return (topic, number) of every partition of the topics that exist."""
    return {(name, part.id) for name, topic in _described(_admin(kafka), names) for part in topic.partitions}


def _described(client: Admin, names: Iterable[str]) -> Iterator[tuple[str, TopicDescription]]:
    wanted = list(names)
    if not wanted:
        return
    for name, future in client.describe_topics(TopicCollection(wanted), request_timeout=client.timeout_s).items():
        try:
            yield name, future.result(client.timeout_s + 5)
        except KafkaException as error:
            if error.args[0].code() not in NO_TOPIC:
                raise _failed(client, error, client.address, client.trouble, f"topic {name}") from None


def read_all(kafka: KafkaConfig, topic: str, since: int = 0) -> list[tuple[int, bytes | None, bytes | None]]:
    """Return (offset, key, value) of everything before the end that partition 0 of ``topic`` has at the call.

    ``since``: from this offset on. An absent topic reads as empty. Raises KafkaUnavailable.
    """
    trouble = Trouble()
    own = {"enable.partition.eof": True, "isolation.level": "read_uncommitted", "error_cb": trouble}
    reader = consumer(kafka, None, **own)
    try:
        low, end = watermarks(reader, topic, 0, kafka.request_timeout_seconds)
        first = max(low, since)
        return _read_until(reader, topic, first, end, kafka.request_timeout_seconds) if end > first else []
    except KafkaException as error:
        if error.args[0].code() in NO_TOPIC:
            return []
        raise _failed(reader, error, kafka.bootstrap_servers, trouble, f"topic {topic}") from None
    finally:
        reader.close()


def watermarks(reader: Consumer, topic: str, partition: int, timeout_s: float) -> tuple[int, int]:
    """Return the first offset that is still there and the one after the last; raises KafkaException."""
    place = TopicPartition(topic, partition)
    return once_led(lambda: reader.get_watermark_offsets(place, timeout=timeout_s), timeout_s)


def once_led(ask: Callable[[], T], timeout_s: float, look: Callable[[], object] = lambda: None) -> T:
    """Return the answer of a partition's leader, asking again for ``timeout_s`` seconds while the brokers elect it.

    The one that the client knows of may be about to take over, or may have handed over: right after a topic was made,
    or when a broker comes or goes. ``look`` has the client look who leads now, before each further try: an admin client
    does not do so by itself. Raises KafkaException.
    """
    electing = retry_if_exception(lambda e: isinstance(e, KafkaException) and e.args[0].code() in ELECTING)
    tries = Retrying(
        retry=electing,
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(_ELECTION_S),
        before_sleep=lambda _: _try(look),
        reraise=True,
    )
    return tries(ask)


def _try(look: Callable[[], object]) -> None:
    """Look; what is wrong with the brokers, the next question to them tells as well."""
    with suppress(KafkaException):
        look()


def check(error: KafkaError, kafka: KafkaConfig) -> None:
    """Raise what a consumer's message error means; return if the client gets over it by itself (or it is an EOF)."""
    if error.code() == EOF or (error.code() not in REFUSALS and (error.retriable() or error.code() in PASSING)):
        return
    raise explain(error, kafka.bootstrap_servers, Trouble(), "")


def unavailable(error: KafkaException, kafka: KafkaConfig) -> KafkaUnavailable:
    """Return an exception of the client as ours: KafkaRefused, or KafkaUnavailable for all that may pass."""
    return explain(error.args[0], kafka.bootstrap_servers, Trouble(), "")


def _settings(kafka: KafkaConfig, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Ours give way to the pipeline's ``properties``, and those to what the code itself asks for."""
    address = {"bootstrap.servers": kafka.bootstrap_servers}
    return {**_COMMON, "error_cb": _log_error, **defaults, **kafka.properties, **address, **overrides}


@contextmanager
def _refusing_settings() -> Iterator[None]:
    """Turn librdkafka's refusal of a setting into a fault of the pipeline file."""
    try:
        yield
    except KafkaException as error:
        raise BadInput(error.args[0].str(), "kafka.properties", PROPERTIES) from None


def _log_error(error: KafkaError) -> None:
    LOGGER.warning("%s", error.str())


def _admin(kafka: KafkaConfig | Admin) -> Admin:
    return kafka if isinstance(kafka, Admin) else Admin(kafka)


def _wait_until_visible(client: Admin, names: Sequence[str]) -> None:
    """Wait until the brokers that we ask know a leader of each partition."""
    deadline = time.monotonic() + client.timeout_s
    one, left = (names[0] if len(names) == 1 else None), list(names)
    while time.monotonic() < deadline:
        try:
            topics = client.list_topics(one, timeout=client.timeout_s).topics
        except KafkaException as error:
            raise _failed(client, error, client.address, client.trouble, f"topic {left[0]}") from None
        left = [name for name in left if not _is_led(topics.get(name))]
        if not left:
            return
        time.sleep(_ELECTION_S)
    raise KafkaUnavailable(
        f"topic {left[0]} has no leader", client.address, "check that all brokers of the cluster run"
    )


def _is_led(topic: TopicMetadata | None) -> bool:
    if topic is None or topic.error is not None or not topic.partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _read_until(
    reader: Consumer, topic: str, first: int, end: int, patience_s: float
) -> list[tuple[int, bytes | None, bytes | None]]:
    """Read partition 0 from ``first`` up to ``end``; compaction leaves gaps, so the EOF mark ends it too."""
    reader.assign([TopicPartition(topic, 0, first or OFFSET_BEGINNING)])
    rows: list[tuple[int, bytes | None, bytes | None]] = []
    heard = time.monotonic()
    while time.monotonic() - heard < patience_s:
        for message in reader.consume(10_000, timeout=0.02):
            heard, error, offset = time.monotonic(), message.error(), message.offset()
            if error is None and offset is not None and offset < end:
                rows.append((offset, message.key(), message.value()))
                if offset == end - 1:
                    return rows
            elif error is None or error.code() == EOF:
                return rows
            elif not error.retriable() and error.code() not in (*PASSING, *ELECTING):
                raise KafkaException(error)
    raise KafkaException(KafkaError(TIMED_OUT))


def _failed(
    client: Admin | Consumer, error: KafkaException, address: str, trouble: Trouble, about: str
) -> KafkaUnavailable:
    """Return a call's error as ours, once the client has told what happened behind its back."""
    client.poll(0.1)
    return explain(error.args[0], address, trouble, about)
