"""Messages on their way to a producer: many by column, in two Arrow arrays until they are taken, few as they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from schemas.codec_encode import Message
from schemas.columnar.arrays import lengths_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Messages made Python objects at a time: so few stay in memory that the interpreter uses again, instead of asking
#: the system for fresh pages, which costs more than the copying.
_AT_ONCE: Final = 2_000


@dataclass(slots=True)
class Messages:
    """Messages in order; a null value is a tombstone. The few that have headers are in ``headers`` by their place."""

    keys: pa.BinaryArray
    values: pa.BinaryArray
    headers: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Message]:
        place = 0
        for keys, values in self.batches():
            for key, value in zip(keys, values, strict=True):
                yield Message(key, value, self.headers.get(place, []))
                place += 1

    @property
    def largest(self) -> int:
        """Bytes of key and value of the largest message."""
        return int((lengths_of(self.keys) + lengths_of(self.values)).max(initial=0))

    def batches(self) -> Iterator[tuple[list[bytes | None], list[bytes | None]]]:
        """Yield keys and values of some messages at a time, in order."""
        for at in range(0, len(self.values), _AT_ONCE):
            yield self.keys.slice(at, _AT_ONCE).to_pylist(), self.values.slice(at, _AT_ONCE).to_pylist()

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Messages:
        """Return the row-wise encoder's messages in this form."""
        headers = {i: message.headers for i, message in enumerate(messages) if message.headers}
        keys, values = [message.key for message in messages], [message.value for message in messages]
        return cls(pa.array(keys, pa.binary()), pa.array(values, pa.binary()), headers)


@dataclass(frozen=True, slots=True)
class FewMessages:
    """Messages of the row-wise encoder, in order: too few to be worth arrays."""

    messages: Sequence[Message]

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    @property
    def headers(self) -> dict[int, list[tuple[str, bytes]]]:
        """The headers of those that have any, by their place."""
        return {i: message.headers for i, message in enumerate(self.messages) if message.headers}

    @property
    def largest(self) -> int:
        """Bytes of key and value of the largest message."""
        return max((len(message.key or b"") + len(message.value or b"") for message in self.messages), default=0)

    def batches(self) -> Iterator[tuple[list[bytes | None], list[bytes | None]]]:
        """Yield all keys and values, in order."""
        yield [message.key for message in self.messages], [message.value for message in self.messages]


AnyMessages = Messages | FewMessages
