"""pgoutput messages as the server would write them, and COPY text likewise: the other side of our decoders."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from capture.sources.postgres.pgoutput import EPOCH_US
from schemas.block import UNSENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.block import Row


def begin(position: int, xid: int = 1, committed_us: int = EPOCH_US) -> bytes:
    return struct.pack(">cQqI", b"B", position, committed_us - EPOCH_US, xid)


def commit(position: int, end: int) -> bytes:
    return struct.pack(">cBQQq", b"C", 0, position, end, 0)


def message(position: int, *, transactional: bool = False, content: bytes = b"") -> bytes:
    return (
        struct.pack(">cBQ", b"M", transactional, position) + b"ferryman\0" + struct.pack(">I", len(content)) + content
    )


def relation(
    oid: int,
    columns: Sequence[tuple[bool, str, int, int]],
    *,
    namespace: str = "public",
    name: str = "t",
    identity: str = "d",
) -> bytes:
    head = struct.pack(">cI", b"R", oid) + namespace.encode() + b"\0" + name.encode() + b"\0"
    body = b"".join(
        struct.pack(">B", in_key) + column.encode() + b"\0" + struct.pack(">Ii", type_oid, typmod)
        for in_key, column, type_oid, typmod in columns
    )
    return head + identity.encode() + struct.pack(">H", len(columns)) + body


def row(values: Row) -> bytes:
    parts = [struct.pack(">H", len(values))]
    for value in values:
        if value is UNSENT:
            parts.append(b"u")
        elif value is None:
            parts.append(b"n")
        else:
            assert isinstance(value, bytes)
            parts.append(b"t" + struct.pack(">I", len(value)) + value)
    return b"".join(parts)


def insert(oid: int, new: Row) -> bytes:
    return struct.pack(">cI", b"I", oid) + b"N" + row(new)


def update(oid: int, new: Row, *, key: Row | None = None, old: Row | None = None) -> bytes:
    before = b"K" + row(key) if key is not None else b"O" + row(old) if old is not None else b""
    return struct.pack(">cI", b"U", oid) + before + b"N" + row(new)


def delete(oid: int, *, key: Row | None = None, old: Row | None = None) -> bytes:
    before = b"K" + row(key) if key is not None else b"O" + row(old or ())
    return struct.pack(">cI", b"D", oid) + before


def truncate(*oids: int, options: int = 0) -> bytes:
    return struct.pack(">cIB", b"T", len(oids), options) + b"".join(struct.pack(">I", oid) for oid in oids)
