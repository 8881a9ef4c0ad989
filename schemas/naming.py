"""Names of topics. A table's topic is ``<prefix>.<schema>.<table>``; ferryman's own have two parts.

Kafka allows ``[a-zA-Z0-9._-]``, at most 249 characters, and refuses a topic that differs from another one only in
``.`` against ``_`` (they are equal in its metric names).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Kafka's limit on a topic's name, in characters.
MAX_TOPIC_CHARACTERS: Final = 249
_LITERAL: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
#: With a prefix of 40 characters and the hash, two parts of this length stay below the limit.
_CLIPPED: Final = 90


def positions_topic(prefix: str) -> str:
    """Return the name of the topic in which capture keeps what it remembers."""
    return f"{prefix}.positions"


def schemas_topic(prefix: str) -> str:
    """Return the name of the topic that holds the schemas of all events of a pipeline."""
    return f"{prefix}.schemas"


def control_topic(prefix: str) -> str:
    """Return the name of the topic through which people steer a running capture."""
    return f"{prefix}.control"


class TakenTopics:
    """Topics that exist or are promised, as Kafka compares them."""

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._compared = {_as_kafka_compares(topic) for topic in topics}

    def __contains__(self, topic: str) -> bool:
        """Whether Kafka would refuse this topic beside them."""
        return _as_kafka_compares(topic) in self._compared

    def add(self, topic: str) -> None:
        """Take note of one more."""
        self._compared.add(_as_kafka_compares(topic))


def table_topic(prefix: str, namespace: str, name: str, taken: TakenTopics | None = None) -> str:
    """Return the topic of a table: another one for every table, whatever its name.

    ``taken`` holds the topics of others. Where Kafka would refuse the plain name beside one of them, or finds it too
    long, it ends in a hash of the table's name. Raises ContractError when even that is taken, or a name is empty.
    """
    taken = TakenTopics() if taken is None else taken
    parts = [_tokens(namespace), _tokens(name)]
    plain = _join(prefix, parts)
    if len(plain) <= MAX_TOPIC_CHARACTERS and plain not in taken:
        return plain
    digest = hashlib.sha256(f"{prefix}\0{namespace}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
    # Inside a part, "-" is followed by a hexadecimal digit or "-": "-h" cannot be read as the end of any name.
    hashed = f"{_join(prefix, [_clip(part) for part in parts])}-h{digest[:16]}"
    if hashed in taken:
        raise ContractError(f"the topic {hashed} belongs to another table")
    return hashed


def prefix_of(topic: str) -> str:
    """Return the prefix of any topic of a pipeline."""
    return topic.partition(".")[0]


def _tokens(text: str) -> list[str]:
    """Return a name's characters in a spelling that can be read back: ``-`` opens and closes an escape."""
    if not text:
        raise ContractError("a table and its schema need a name")
    return [_token(character) for character in text]


def _token(character: str) -> str:
    if character in _LITERAL:
        return character
    return "--" if character == "-" else f"-{ord(character):x}-"


def _clip(tokens: Iterable[str]) -> list[str]:
    kept: list[str] = []
    size = 0
    for token in tokens:
        size += len(token)
        if size > _CLIPPED:
            break
        kept.append(token)
    return kept


def _join(prefix: str, parts: list[list[str]]) -> str:
    return ".".join([prefix, *("".join(tokens) for tokens in parts)])


def _as_kafka_compares(topic: str) -> str:
    return topic.replace(".", "_")
