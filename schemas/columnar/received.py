"""Decoded events whose rows are held by column. Row by row it is exactly a :class:`schemas.received.Received`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.block import Op, Origin
from schemas.columnar.block import OPS, Part, chosen, parts_of
from schemas.order import ORDER_KEY_BYTES
from schemas.received import Received

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.block import Row
    from schemas.columnar.arrays import Bytes, Ints, Mask
    from schemas.table import TableSchema

#: Origins by the numbers that stand for them in columns.
ORIGINS: Final = tuple(Origin)
_OPENING: Final = ORIGINS.index(Origin.OPENING)
_TRUNCATE: Final = ord(Op.TRUNCATE.value)


@dataclass(slots=True)
class ReceivedColumns:
    """What Received is, as arrays of one length; each row with an image is in one of the ``parts``.

    ``ops`` holds the codes of the operations' letters, ``orders`` the 28 bytes of each order key, ``origins`` indexes
    into ORIGINS. Values are COPY text of the target, already escaped.
    """

    table: TableSchema
    ops: npt.NDArray[np.uint8]
    parts: list[Part]
    orders: Bytes
    last: Mask
    key_change: Mask
    origins: Ints
    committed_us: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.ops)

    def order(self, index: int) -> bytes:
        """Return the packed order key of one event."""
        return bytes(self.orders[index])

    def up_to(self, order: bytes) -> int:
        """Return how many events, whose order keys must rise, have one that is not above ``order``."""
        return int(np.searchsorted(self._keys, np.bytes_(order), "right"))

    def opening(self) -> int | None:
        """Return the place of the last truncate that opens a snapshot."""
        places = np.flatnonzero((self.ops == _TRUNCATE) & (self.origins == _OPENING))
        return int(places[-1]) if len(places) else None

    def count(self, op: Op, which: Mask | None = None, from_place: int = 0) -> int:
        """Return how many events are of an operation, of those that ``which`` marks, from a place on."""
        found = self.ops[from_place:] == ord(op.value)
        return int(np.count_nonzero(found if which is None else found & which[from_place:]))

    @property
    def _keys(self) -> npt.NDArray[np.bytes_]:
        """The order keys as one array: of fixed width, they compare as bytes do."""
        return np.ascontiguousarray(self.orders).view(f"S{ORDER_KEY_BYTES}").reshape(-1)

    def above(self, mark: bytes) -> Mask | None:
        """Return which events have an order key above ``mark`` and all before them; None: every one."""
        keys = self._keys
        if not len(keys) or (self.order(0) > mark and (keys[1:] > keys[:-1]).all()):
            return None
        kept = np.zeros(len(keys), np.bool_)
        for i in range(len(keys)):
            order = self.order(i)
            if order > mark:
                mark, kept[i] = order, True
        return kept

    def take(self, indexes: Ints) -> ReceivedColumns:
        """Return some of the events, in the order of ``indexes``, which must rise."""
        new = np.full(len(self), -1, np.int64)
        new[indexes] = np.arange(len(indexes))
        return replace(
            self,
            ops=self.ops[indexes],
            parts=[part for part in (chosen(part, new) for part in self.parts) if len(part.places)],
            orders=self.orders[indexes],
            last=self.last[indexes],
            key_change=self.key_change[indexes],
            origins=self.origins[indexes],
            committed_us=self.committed_us[indexes],
            offsets=self.offsets[indexes],
        )

    def to_received(self) -> Received:
        """Return the same events one by one."""
        before: list[Row | None] = [None] * len(self)
        after: list[Row | None] = [None] * len(self)
        for part in self.parts:
            part.put(before, after)
        return Received(
            self.table, [OPS[code] for code in self.ops.tolist()], before, after,
            orders=[self.order(i) for i in range(len(self))], last=self.last.tolist(),
            key_change=self.key_change.tolist(), origins=[ORIGINS[i] for i in self.origins.tolist()],
            committed_us=self.committed_us.tolist(), offsets=self.offsets.tolist(),
        )  # fmt: skip

    @classmethod
    def of(cls, received: Received) -> ReceivedColumns:
        """Return the same events by column."""
        return cls(
            received.table,
            np.array([ord(op.value) for op in received.ops], np.uint8),
            parts_of(received.before, received.after),
            np.frombuffer(b"".join(received.orders), np.uint8).reshape(len(received), ORDER_KEY_BYTES),
            np.array(received.last, np.bool_),
            np.array(received.key_change, np.bool_),
            np.array([ORIGINS.index(origin) for origin in received.origins], np.int64),
            np.array(received.committed_us, np.int64),
            np.array(received.offsets, np.int64),
        )


#: Events in either form.
AnyReceived = Received | ReceivedColumns
