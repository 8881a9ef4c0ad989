"""The order key: fixed width, compares as bytes in source commit order, parsed by nobody but its printers."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_LAYOUT = struct.Struct(">IQQQ")

#: Bytes of every order key: 4 incarnation, 8 position, 8 run, 8 ordinal, all big-endian.
ORDER_KEY_BYTES = _LAYOUT.size


#: Packs the parts of an order key, as :meth:`OrderKey.pack` does.
pack: Final = _LAYOUT.pack


class OrderKey(NamedTuple):
    """(incarnation, position, run, ordinal): where an event stands among all events of its topic partition.

    ``incarnation`` rises only when the source's identity or history breaks. ``position`` is the commit position of
    the last transaction read. ``run`` is 0 for log events, and for snapshot rows the offset of the start record of
    this run of capture. ``ordinal`` is 2n for the n-th row, 2n+1 for the create half of a key change.
    """

    incarnation: int
    position: int
    run: int
    ordinal: int

    def pack(self) -> bytes:
        """Return the key as 28 bytes that compare like the tuple; raises struct.error when a part is out of range."""
        return _LAYOUT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> OrderKey:
        """Return the parts of a packed key, for people to read; raises struct.error unless it is 28 bytes."""
        return cls(*_LAYOUT.unpack(data))
