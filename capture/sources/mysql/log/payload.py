"""Compressed transactions of MySQL 8.0.20 and later: one event that holds all events of a transaction. Pure.

Source: MySQL source code documentation, "Transaction payload event". It is read as it is decompressed, so that memory
holds one of its events at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from capture.sources.mysql.log.binlog import HEADER_BYTES, Header, UnreadableLog, header, packed_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_END, _SIZE, _METHOD = 0, 1, 2
_ZSTD, _NONE = 0, 255


class Payload(NamedTuple):
    """The events of a transaction, one after another, perhaps compressed."""

    compressed: bool
    data: bytes


def payload(data: bytes) -> Payload:
    """Return what a TRANSACTION_PAYLOAD event holds; raises UnreadableLog for an unknown method of compression."""
    fields, at = {_METHOD: _NONE}, 0
    while True:
        kind, at = packed_int(data, at)
        if kind == _END:
            break
        size, at = packed_int(data, at)
        fields[kind] = packed_int(data, at)[0]
        at += size
    if fields[_METHOD] not in (_ZSTD, _NONE):
        raise UnreadableLog("a transaction is compressed by an unknown method")
    return Payload(fields[_METHOD] == _ZSTD, data[at : at + fields.get(_SIZE, len(data) - at)])


def events(held: Payload) -> Iterator[tuple[Header, bytes]]:
    """Yield the events of a payload, which have no checksums."""
    raw = pa.BufferReader(held.data)
    with pa.CompressedInputStream(raw, "zstd") if held.compressed else raw as stream:
        while head := _read(stream.read, HEADER_BYTES):
            parsed = header(head)
            yield parsed, _read(stream.read, parsed.size - HEADER_BYTES)


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    """Return exactly ``size`` bytes, or none at the end; raises UnreadableLog when the end comes in between."""
    data = read(size)
    while data and len(data) < size:
        more = read(size - len(data))
        if not more:
            raise UnreadableLog("a compressed transaction breaks off")
        data += more
    return data
