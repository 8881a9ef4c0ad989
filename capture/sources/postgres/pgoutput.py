"""The messages of pgoutput, protocol version 1, text form. Pure.

Source: PostgreSQL documentation, "Logical Replication Message Formats" and "Streaming Replication Protocol".
Row messages are read by plain functions that return tuples: they run once for every row of the source.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.block import UNSENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.block import Row, Value

#: Microseconds between 1970-01-01 and 2000-01-01, where PostgreSQL counts from.
EPOCH_US: Final = 946_684_800_000_000

BEGIN: Final = ord("B")
COMMIT: Final = ord("C")
RELATION: Final = ord("R")
INSERT: Final = ord("I")
UPDATE: Final = ord("U")
DELETE: Final = ord("D")
TRUNCATE: Final = ord("T")
MESSAGE: Final = ord("M")
#: Origins and type names carry nothing that the catalog does not tell.
IGNORED: Final = frozenset(b"OY")

_NEW: Final = ord("N")
_OLD_KEY: Final = ord("K")
_OLD_ROW: Final = ord("O")
_TEXT: Final = ord("t")
_NULL: Final = ord("n")
_UNCHANGED: Final = ord("u")

_U16: Final = Struct(">H").unpack_from
_U32: Final = Struct(">I").unpack_from
_BEGIN: Final = Struct(">xQqI").unpack
_COMMIT: Final = Struct(">xBQQq").unpack
_MESSAGE: Final = Struct(">xBQ").unpack_from
_TRUNCATE: Final = Struct(">xIB").unpack_from
_COLUMN: Final = Struct(">Ii").unpack_from


class ProtocolError(Exception):
    """Bytes that are no message of this protocol version; the text never holds them."""


class Begin(NamedTuple):
    """A transaction starts. ``position`` is its commit LSN, ``committed_us`` counts from 1970 UTC."""

    position: int
    committed_us: int
    xid: int


class Commit(NamedTuple):
    """A transaction is over; ``end`` is the LSN behind its commit record: the one to resume at."""

    position: int
    end: int


class Message(NamedTuple):
    """A logical message; ``position`` is the LSN of its record. Outside of transactions unless ``transactional``."""

    transactional: bool
    position: int


class Truncate(NamedTuple):
    """One TRUNCATE of several relations, by oid."""

    relations: tuple[int, ...]


class RelationColumn(NamedTuple):
    """A column as the log knows it; ``identity``: part of the replica identity."""

    identity: bool
    name: str
    type_oid: int
    typmod: int


class Relation(NamedTuple):
    """A table as it stands at this point of the log. ``identity`` is ``pg_class.relreplident``: d, n, f or i."""

    oid: int
    namespace: str
    name: str
    identity: str
    columns: tuple[RelationColumn, ...]


class Images(NamedTuple):
    """What a row message holds. ``full``: ``old`` is the whole row, else the columns of the replica identity only."""

    oid: int
    full: bool
    old: Row | None
    new: Row | None
    partial: bool


def begin(data: bytes) -> Begin:
    """Read a Begin message."""
    position, committed, xid = _exactly(_BEGIN, data)
    return Begin(position, committed + EPOCH_US, xid)


def commit(data: bytes) -> Commit:
    """Read a Commit message."""
    _flags, position, end, _committed = _exactly(_COMMIT, data)
    return Commit(position, end)


def message(data: bytes) -> Message:
    """Read the head of a logical message; its text is nobody's business here."""
    flags, position = _exactly(_MESSAGE, data)
    return Message(bool(flags & 1), position)


def truncate(data: bytes) -> Truncate:
    """Read a Truncate message."""
    count, _options = _exactly(_TRUNCATE, data)
    if len(data) != 6 + 4 * count:
        raise ProtocolError("a Truncate message has another length than its count says")
    return Truncate(tuple(_U32(data, 6 + 4 * i)[0] for i in range(count)))


def relation(data: bytes) -> Relation:
    """Read a Relation message; an empty namespace means pg_catalog."""
    try:
        oid = _U32(data, 1)[0]
        namespace, at = _string(data, 5)
        name, at = _string(data, at)
        identity = chr(data[at])
        count = _U16(data, at + 1)[0]
        at += 3
        columns = []
        for _ in range(count):
            flags = data[at]
            column, at = _string(data, at + 1)
            columns.append(RelationColumn(bool(flags & 1), column, *_COLUMN(data, at)))
            at += 8
    except (struct_error, IndexError, ValueError) as error:
        raise ProtocolError("a Relation message ends early") from error
    return Relation(oid, namespace or "pg_catalog", name, identity, tuple(columns))


def oid(data: bytes) -> int:
    """Read the table's oid of a row message."""
    try:
        return int(_U32(data, 1)[0])
    except struct_error as error:
        raise ProtocolError("a row message ends early") from error


def insert(data: bytes) -> Images:
    """Read an Insert message."""
    try:
        if data[5] != _NEW:
            raise ProtocolError("an Insert message without a new row")
        new, at, partial = _tuple(data, 6)
        _ended(data, at)
        return Images(_U32(data, 1)[0], full=False, old=None, new=new, partial=partial)
    except (struct_error, IndexError) as error:
        raise ProtocolError("an Insert message ends early") from error


def update(data: bytes) -> Images:
    """Read an Update message; ``partial``: the new row has columns that were not sent."""
    try:
        kind, at, old = data[5], 6, None
        if kind != _NEW:
            _old_kind(kind)
            old, at, _ = _tuple(data, 6)
            if data[at] != _NEW:
                raise ProtocolError("an Update message without a new row")
            at += 1
        new, at, partial = _tuple(data, at)
        _ended(data, at)
        return Images(_U32(data, 1)[0], kind == _OLD_ROW, old, new, partial)
    except (struct_error, IndexError) as error:
        raise ProtocolError("an Update message ends early") from error


def delete(data: bytes) -> Images:
    """Read a Delete message."""
    try:
        kind = data[5]
        _old_kind(kind)
        old, at, partial = _tuple(data, 6)
        _ended(data, at)
        return Images(_U32(data, 1)[0], kind == _OLD_ROW, old, None, partial)
    except (struct_error, IndexError) as error:
        raise ProtocolError("a Delete message ends early") from error


def _tuple(data: bytes, at: int) -> tuple[Row, int, bool]:
    """Return the values of TupleData, where it ends, and whether a column was left out (unchanged TOAST)."""
    (count,) = _U16(data, at)
    at += 2
    values: list[Value] = []
    append = values.append
    partial = False
    for _ in range(count):
        kind = data[at]
        if kind == _TEXT:
            start = at + 5
            at = start + _U32(data, at + 1)[0]
            append(data[start:at])
        elif kind == _NULL:
            append(None)
            at += 1
        elif kind == _UNCHANGED:
            append(UNSENT)
            partial = True
            at += 1
        else:
            raise ProtocolError("a value in another form than text")
    return tuple(values), at, partial


def _old_kind(kind: int) -> None:
    if kind not in (_OLD_KEY, _OLD_ROW):
        raise ProtocolError("an old row of an unknown kind")


def _ended(data: bytes, at: int) -> None:
    if at != len(data):
        raise ProtocolError("a row message has another length than its values")


def _string(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _exactly(read: Callable[[bytes], tuple[Any, ...]], data: bytes) -> tuple[Any, ...]:
    try:
        return read(data)
    except struct_error as error:
        raise ProtocolError("a message of another length than its kind has") from error
