"""What Kafka's clients say went wrong, as our errors with what to do about it, and as log lines that do not repeat."""

from __future__ import annotations

import logging
import re
import time
from typing import Final

from confluent_kafka import KafkaError

from runtime.errors import Refused, Unreachable
from runtime.names import visible


class KafkaUnavailable(Unreachable):
    """No broker answers now."""


class KafkaRefused(KafkaUnavailable, Refused):
    """The brokers answered and said no: authentication, authorization, or a setting of a topic."""


class Trouble:
    """The callback for what happens behind a client's back; remembers the last that explains a silence."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take note of an error."""
        if self.last is None or error.code() in REFUSALS:
            self.last = error


def explain(error: KafkaError, address: str, trouble: Trouble, about: str) -> KafkaUnavailable:
    """Return an error as ours; a silence is explained by the trouble that was told of meanwhile."""
    cause = trouble.last if trouble.last is not None and error.code() in PASSING else error
    what = visible(_VARYING.sub("", cause.str()).strip()) + (f" ({about})" if about else "")
    fix = REFUSALS.get(cause.code())
    if fix is not None:
        return KafkaRefused(what, address, fix)
    return KafkaUnavailable(what, address, "check kafka.bootstrap_servers, and that the brokers run and can be reached")


class _Repeats(logging.Filter):
    """librdkafka's words, each at most once in a while: it repeats a failed connection several times a second.

    Its errors are warnings to us: it tries again by itself, and what ends a call is raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is worth a line."""
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        text = _VARYING.sub("", record.getMessage())
        now, before = time.monotonic(), self._said.get(text)
        if before is not None and now - before < _REPEAT_AFTER_S:
            return False
        if len(self._said) > 1_000:
            self._said.clear()
        self._said[text] = now
        return True


_REPEAT_AFTER_S: Final = 60.0
#: What differs between two sayings of the same: the client's serial number, and durations.
_VARYING: Final = re.compile(r"\[ferryman#[^\]]*\]|\(after [^)]*\)")
LOGGER: Final = logging.getLogger("librdkafka")
LOGGER.addFilter(_Repeats())


#: librdkafka's own codes; the underscore is part of their public names.
EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
TIMED_OUT: Final = KafkaError._TIMED_OUT  # noqa: SLF001
PASSING: Final = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)  # noqa: SLF001
#: How the brokers and the client say that there is no such topic.
NO_TOPIC: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
)

#: What a broker answers that leads a partition not yet, or no longer (org.apache.kafka.common.protocol.Errors).
ELECTING: Final = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
)

PROPERTIES: Final = "librdkafka's CONFIGURATION.md lists the settings"
_LOGIN: Final = "check kafka.properties: security.protocol, sasl.mechanism, sasl.username, sasl.password"
_GRANT: Final = "grant the principal the right that the message names (capture: Create, Write, Read; apply: Read)"
_TOPIC: Final = "change `topics:` in the pipeline file, or the brokers' limits"

#: Codes that only a person can change, and how.
REFUSALS: Final[dict[int, str]] = {
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
