"""Messages of one topic partition -> events, decoded by the schema that each message names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from apply import telemetry
from apply.columns import column_renderer
from apply.types import renderer
from schemas.codec import UnreadableEventError
from schemas.columnar.decode import ColumnDecoder
from schemas.columnar.encode import FEWEST
from schemas.columnar.received import ReceivedColumns
from schemas.errors import ContractError
from schemas.framing import read_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from apply.messages import Messages
    from schemas.columnar.received import AnyReceived
    from schemas.framing import FrameId

#: Memory of decoded events by bytes of their messages, about: row by row, each value becomes an object of its own.
_BY_COLUMN, _BY_ROW = 2, 4


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

    It raises ContractError when nobody knows the schema, Unreachable when it cannot be asked. From ``fewest`` messages
    on, those of one schema are decoded by column.
    """

    def __init__(self, schema: Callable[[FrameId], dict[str, Any]], fewest: int = FEWEST) -> None:
        self._schema, self._fewest = schema, fewest
        self._decoders: dict[FrameId, ColumnDecoder] = {}

    def read(self, messages: Messages) -> Decoded:
        """Return the events of messages in offset order; a tombstone says nothing that its delete did not."""
        events: list[tuple[AnyReceived, int]] = []
        values, offsets = _without_tombstones(messages)
        while values:
            try:
                frame = read_frame(values[0])
            except ContractError as error:
                return Decoded(events, Poison(offsets[0], str(error)))
            count = _alike(values, frame[1])
            poison = self._decode(frame, values[:count], offsets[:count], events)
            if poison is not None:
                return Decoded(events, poison)
            values, offsets = values[count:], offsets[count:]
        return Decoded(events, None)

    def _decode(
        self,
        frame: tuple[FrameId, int],
        values: list[bytes],
        offsets: list[int],
        events: list[tuple[AnyReceived, int]],
    ) -> Poison | None:
        """Add the events of messages with one schema; return the first message that cannot be read."""
        try:
            decoder = self._decoder(frame[0])
            by_reference = decoder.reference_rows
            received = decoder.decode(values, offsets, frame[1])
            telemetry.decoded_by_reference(decoder.table, decoder.reference_rows - by_reference)
            events.append((received, _size(received, values)))
        except UnreadableEventError as error:
            if error.index:
                self._decode(frame, values[: error.index], offsets[: error.index], events)
            return Poison(error.offset, str(error))
        except ContractError as error:
            return Poison(offsets[0], str(error))
        return None

    def _decoder(self, frame: FrameId) -> ColumnDecoder:
        decoder = self._decoders.get(frame)
        if decoder is None:
            decoder = self._decoders[frame] = ColumnDecoder(
                self._schema(frame), renderer, column_renderer, self._fewest
            )
        return decoder


def _without_tombstones(messages: Messages) -> tuple[list[bytes], list[int]]:
    """Return the values that there are, and their offsets."""
    values = [value for value in messages.values if value is not None]
    if len(values) == len(messages):
        return values, messages.offsets
    offsets = zip(messages.offsets, messages.values, strict=True)
    return values, [offset for offset, value in offsets if value is not None]


def _alike(values: list[bytes], size: int) -> int:
    """Return how many of the values, from the first on, begin with the same frame of so many bytes."""
    frames = [value[:size] for value in values]
    if frames.count(frames[0]) == len(frames):
        return len(frames)
    return next(i for i, frame in enumerate(frames) if frame != frames[0])


def _size(received: AnyReceived, values: list[bytes]) -> int:
    by_column = isinstance(received, ReceivedColumns)
    return (_BY_COLUMN if by_column else _BY_ROW) * sum(map(len, values))
