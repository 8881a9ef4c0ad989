"""Messages of one topic partition -> events, decoded by the schema that each message names."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from apply.types import renderer
from schemas.codec import BlockDecoder, UnreadableEventError
from schemas.errors import ContractError
from schemas.framing import read_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schemas.framing import FrameId
    from schemas.received import Received

#: Memory of decoded events by bytes of their messages, about: each value becomes an object of its own.
_EXPANSION: Final = 4


class Raw(NamedTuple):
    """A message as Kafka gave it; ``value`` None is a tombstone."""

    offset: int
    value: bytes | None
    leader_epoch: int | None


class Poison(NamedTuple):
    """A message that cannot be read, and why; the reason holds no value of a row."""

    offset: int
    reason: str


class Decoded(NamedTuple):
    """Events with their size in memory in bytes, up to the first message that cannot be read, if any."""

    events: list[tuple[Received, int]]
    poison: Poison | None


class EventReader:
    """Decodes messages; ``schema`` returns the envelope schema that a frame names.

    It raises ContractError when nobody knows the schema, Unreachable when it cannot be asked.
    """

    def __init__(self, schema: Callable[[FrameId], dict[str, Any]]) -> None:
        self._schema = schema
        self._decoders: dict[FrameId, BlockDecoder] = {}

    def read(self, messages: Sequence[Raw]) -> Decoded:
        """Return the events of messages in offset order; a tombstone says nothing that its delete did not."""
        events: list[tuple[Received, int]] = []
        framed = _framed(messages)
        for frame, group in groupby(framed, key=lambda item: item[0]):
            raws = [raw for _, raw in group]
            poison = frame if isinstance(frame, Poison) else self._decode(frame, raws, events)
            if poison is not None:
                return Decoded(events, poison)
        return Decoded(events, None)

    def _decode(self, frame: tuple[FrameId, int], raws: list[Raw], events: list[tuple[Received, int]]) -> Poison | None:
        """Add the events of messages with one schema; return the first message that cannot be read."""
        values, offsets = [raw.value or b"" for raw in raws], [raw.offset for raw in raws]
        try:
            decoder = self._decoder(frame[0])
            events.append((decoder.decode(values, offsets, frame[1]), _EXPANSION * sum(map(len, values))))
        except UnreadableEventError as error:
            if error.index:
                self._decode(frame, raws[: error.index], events)
            return Poison(error.offset, str(error))
        except ContractError as error:
            return Poison(offsets[0], str(error))
        return None

    def _decoder(self, frame: FrameId) -> BlockDecoder:
        decoder = self._decoders.get(frame)
        if decoder is None:
            decoder = self._decoders[frame] = BlockDecoder(self._schema(frame), renderer)
        return decoder


def _framed(messages: Sequence[Raw]) -> Iterator[tuple[tuple[FrameId, int] | Poison, Raw]]:
    """Yield each message with its frame and where its Avro bytes begin; one in no known framing ends it."""
    prefix, frame = b"", None
    for raw in messages:
        if raw.value is None:
            continue
        if frame is None or not raw.value.startswith(prefix):
            try:
                frame = read_frame(raw.value)
            except ContractError as error:
                yield Poison(raw.offset, str(error)), raw
                return
            prefix = raw.value[: frame[1]]
        yield frame, raw
