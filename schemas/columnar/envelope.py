"""What an event says beside its row images, for many rows at once: source, operation, times, order key, end mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.binary import write_long, write_string
from schemas.columnar.arrays import constants, fixed, take
from schemas.order import ORDER_KEY_BYTES

if TYPE_CHECKING:
    from schemas.columnar.arrays import Bytes, Ints
    from schemas.columnar.block import ColumnBlock
    from schemas.columnar.images import Pieces

_NULL: Final = b"\x00"
_BRANCH_1: Final = b"\x02"


class Stamps:
    """The pieces of a block's rows that follow their images.

    ``sources`` are the source blocks of its transactions in Avro bytes, ``now_us`` the time of ``ts_ms`` and ``ts_us``.
    """

    def __init__(self, block: ColumnBlock, sources: list[bytes], now_us: int) -> None:
        self._block, self._sources = block, sources
        self._clock = _BRANCH_1 + write_long(now_us // 1_000) + _BRANCH_1 + write_long(now_us)
        self._positions = np.array([transaction.position for transaction in block.transactions], np.uint64)

    def write(self, places: Ints, end: bytes = b"") -> Pieces:
        """Return the pieces of the rows at these places: from the source block up to ``key_change``, which is null.

        ``end`` follows in all of them: within the last piece it costs less than as one of its own.
        """
        tx = self._block.tx[places]
        if len(self._sources) == 1:
            return [self._sources[0], fixed(self._tail(places, tx, end))]
        return [take(constants(self._sources), tx), fixed(self._tail(places, tx, end))]

    def _tail(self, places: Ints, tx: Ints, end: bytes) -> Bytes:
        """Return everything of one width: transaction (null), op, ts_ms, ts_us, order, last, key_change (null), end."""
        block = self._block
        before = _NULL + write_string("?") + self._clock + _BRANCH_1 + write_long(ORDER_KEY_BYTES)
        row = np.frombuffer(before + bytes(ORDER_KEY_BYTES) + _BRANCH_1 + b"?" + _NULL + end, np.uint8)
        tail = np.empty((len(places), len(row)), np.uint8)
        tail[:] = row
        tail[:, 2] = block.ops[places]
        at = len(before)
        tail[:, at : at + ORDER_KEY_BYTES] = order_keys(
            block.incarnation, self._positions[tx], block.run, block.ordinals[places]
        )
        tail[:, at + ORDER_KEY_BYTES + 1] = block.last[places]
        return tail


def order_keys(incarnation: int, positions: np.ndarray, run: int, ordinals: Ints) -> Bytes:
    """Return the packed order keys of rows, one a row of the matrix: big-endian numbers of 4, 8, 8 and 8 bytes."""
    keys = np.empty((len(positions), ORDER_KEY_BYTES), np.uint8)
    keys[:, :4] = np.frombuffer(incarnation.to_bytes(4, "big"), np.uint8)
    keys[:, 4:12] = _big_endian(positions)
    keys[:, 12:20] = np.frombuffer(run.to_bytes(8, "big"), np.uint8)
    keys[:, 20:] = _big_endian(ordinals)
    return keys


def _big_endian(numbers: np.ndarray) -> Bytes:
    return numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
