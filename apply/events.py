"""Messages of one topic partition -> events, decoded by the schema that each message names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from apply.columns import column_renderer
from apply.types import renderer
from schemas.codec import UnreadableEventError
from schemas.columnar.decode import ColumnDecoder
from schemas.errors import ContractError
from schemas.framing import read_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.columnar.received import AnyReceived
    from schemas.framing import FrameId

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

    events: list[tuple[AnyReceived, int]]
    poison: Poison | None


class EventReader:
    """Decodes messages; ``schema`` returns the envelope schema that a frame names.

    It raises ContractError when nobody knows the schema, Unreachable when it cannot be asked.
    """

    def __init__(self, schema: Callable[[FrameId], dict[str, Any]]) -> None:
        self._schema = schema
        self._decoders: dict[FrameId, ColumnDecoder] = {}

    def read(self, messages: Sequence[Raw]) -> Decoded:
        """Return the events of messages in offset order; a tombstone says nothing that its delete did not."""
        events: list[tuple[AnyReceived, int]] = []
        raws = [raw for raw in messages if raw.value is not None]
        while raws:
            try:
                frame = read_frame(raws[0].value or b"")
            except ContractError as error:
                return Decoded(events, Poison(raws[0].offset, str(error)))
            count = _alike(raws, frame[1])
            poison = self._decode(frame, raws[:count], events)
            if poison is not None:
                return Decoded(events, poison)
            raws = raws[count:]
        return Decoded(events, None)

    def _decode(
        self, frame: tuple[FrameId, int], raws: list[Raw], events: list[tuple[AnyReceived, int]]
    ) -> Poison | None:
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

    def _decoder(self, frame: FrameId) -> ColumnDecoder:
        decoder = self._decoders.get(frame)
        if decoder is None:
            decoder = self._decoders[frame] = ColumnDecoder(self._schema(frame), renderer, column_renderer)
        return decoder


def _alike(raws: Sequence[Raw], size: int) -> int:
    """Return how many of the messages, from the first on, begin with the same frame of so many bytes."""
    prefix = (raws[0].value or b"")[:size]
    return next((i for i, raw in enumerate(raws) if not (raw.value or b"").startswith(prefix)), len(raws))
