"""MariaDB's compressed columns and compressed row events -> the bytes they stand for. Pure.

Source: MariaDB, ``sql/field_comp.cc`` (columns), ``sql/log_event.cc`` (``row_log_event_uncompress``). zlib alone is in
use.
"""

from __future__ import annotations

import zlib
from typing import Final

_ZLIB: Final = 8
#: Largest value of a column; what claims more is no compressed value.
_MOST_BYTES: Final = (1 << 32) - 1
#: The bit of a column value's header that says there is no zlib wrapper around the deflated bytes.
_BARE: Final = 8


def value(stored: bytes) -> bytes:
    """Return a value of a compressed column; raises ValueError for what is none.

    The header's high half names the method (0: none); the low half has how many bytes, big-endian, the length of the
    value takes.
    """
    if not stored:
        return b""
    header = stored[0]
    if not header:
        return stored[1:]
    lengths = header & 7
    if header >> 4 != _ZLIB or not 1 <= lengths <= 4:
        raise ValueError("an unknown compression")
    size = int.from_bytes(stored[1 : 1 + lengths], "big")
    return _inflated(stored[1 + lengths :], size, -zlib.MAX_WBITS if header & _BARE else zlib.MAX_WBITS)


def rows(stored: bytes) -> bytes:
    """Return the row images of a compressed row event; raises ValueError for what is none.

    The first byte has its highest bit set, the method (0 is zlib) in the next three, and how many bytes, big-endian,
    the length takes.
    """
    header = stored[0]
    lengths = header & 7
    if header >> 4 != _ZLIB or not 1 <= lengths <= 4:
        raise ValueError("an unknown compression")
    return _inflated(stored[1 + lengths :], int.from_bytes(stored[1 : 1 + lengths], "big"), zlib.MAX_WBITS)


def _inflated(data: bytes, size: int, window: int) -> bytes:
    if size > _MOST_BYTES:
        raise ValueError("an impossible length")
    inflater = zlib.decompressobj(window)
    try:
        out = inflater.decompress(data, size + 1)
    except zlib.error:
        raise ValueError("no compressed bytes") from None
    if len(out) != size:
        raise ValueError("a length that does not fit")
    return out
