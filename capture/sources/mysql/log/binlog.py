"""The events of the binary log, as bytes and as what they say. Pure.

Sources: MySQL source code documentation, "Binary Log Events" (libbinlogevents); MariaDB Server Documentation,
"Replication Protocol". All integers are little-endian. An event here is its body: without header and checksum.

python-mysql-replication has classes for most of these. They are not used in the stream: they ask the server about a
table while its rows are being read, know neither compressed nor tagged transactions, and make a Python object of each
value. Its decoding of rows is the reference that tests compare ours with.
"""

from __future__ import annotations

import re
import zlib
from struct import Struct
from typing import Final, NamedTuple

from capture.source import SourceError

QUERY, STOP, ROTATE, FORMAT, XID = 2, 3, 4, 15, 16
TABLE_MAP, INCIDENT, HEARTBEAT = 19, 26, 27
EXECUTE_LOAD = 18
GTID, ANONYMOUS_GTID, XA_PREPARE, PARTIAL_UPDATE, PAYLOAD, GTID_TAGGED = 33, 34, 38, 39, 40, 42
MARIADB_GTID, MARIADB_QUERY_COMPRESSED = 162, 165

HEADER_BYTES: Final = 19
CHECKSUM_BYTES: Final = 4
_HEADER: Final = Struct("<IBIIIH").unpack_from
_U16: Final = Struct("<H").unpack_from
_U32: Final = Struct("<I").unpack_from
_U64: Final = Struct("<Q").unpack_from
_XA_PREPARE: Final = Struct("<BIII").unpack_from

#: Flags of MariaDB's GTID event.
_STANDALONE, _HAS_COMMIT_ID, _PREPARED_XA, _COMPLETED_XA = 1, 2, 64, 128
#: The event was made by the server for us and does not stand in its log.
ARTIFICIAL: Final = 0x20


class UnreadableLog(SourceError):
    """Bytes that are none of the events that we know how to read."""


class Header(NamedTuple):
    """The head of an event; ``end`` is where the next one begins in the log, in 32 bits, 0 for an artificial event."""

    seconds: int
    kind: int
    server_id: int
    size: int
    end: int
    flags: int


def header(data: bytes | memoryview, at: int = 0) -> Header:
    """Return the head of the event that begins at ``at``."""
    return Header(*_HEADER(data, at))


class Gtid(NamedTuple):
    """The beginning of a transaction. ``gtid`` is empty where the server gives none.

    ``standalone``: one statement follows and no COMMIT. ``prepared`` and ``completed`` name an XA transaction.
    """

    gtid: str
    committed_us: int | None = None
    standalone: bool = False
    prepared: bool = False
    completed: bool = False


def mariadb_gtid(head: Header, data: bytes) -> Gtid:
    """Return what MariaDB's GTID event says."""
    flags = data[12]
    return Gtid(
        f"{_U32(data, 8)[0]}-{head.server_id}-{_U64(data, 0)[0]}",
        None,
        standalone=bool(flags & _STANDALONE),
        prepared=bool(flags & _PREPARED_XA),
        completed=bool(flags & _COMPLETED_XA),
    )


def mysql_gtid(data: bytes, *, anonymous: bool) -> Gtid:
    """Return what MySQL's GTID event says; ``committed_us`` from 8.0 on."""
    # flags 1, uuid 16, number 8, kind of clock 1, last committed 8, sequence 8, committed in microseconds 7
    committed = int.from_bytes(data[42:49], "little") & ((1 << 55) - 1) if len(data) >= 49 else None
    return Gtid("" if anonymous else f"{uuid(data[1:17])}:{_U64(data, 17)[0]}", committed)


def tagged_gtid(data: bytes) -> Gtid:
    """Return what the GTID event of MySQL 8.3 and later says, which may have a tag.

    Source: mysql/serialization, "Serialization framework": a version, the message's size and the last field that must
    be understood; then fields, each behind its number. Only the first seven fields concern us.
    """
    read = _Varlen(data)
    read.unsigned()  # version
    read.unsigned()  # size
    read.unsigned()  # last field that must be understood
    fields: dict[int, object] = {}
    while read.at < len(data) and len(fields) < len(_TAGGED_FIELDS):
        number = read.unsigned()
        if number not in _TAGGED_FIELDS:
            break
        fields[number] = _TAGGED_FIELDS[number](read)
    source, tag, gno = fields.get(1, b""), fields.get(3, ""), fields.get(2, 0)
    if not isinstance(source, bytes) or len(source) != 16:
        raise UnreadableLog("a GTID event has no source")
    committed = fields.get(6)
    name = f"{uuid(source)}:{tag}:{gno}" if tag else f"{uuid(source)}:{gno}"
    return Gtid(name, committed if isinstance(committed, int) else None)


class _Varlen:
    """Reads numbers of one to nine bytes: as many ones as end the first byte, so many bytes follow."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def unsigned(self) -> int:
        """Return the next number."""
        first = self.data[self.at]
        more = 0
        while more < 8 and first >> more & 1:
            more += 1
        raw = int.from_bytes(self.data[self.at : self.at + more + 1], "little")
        self.at += more + 1
        return raw >> (more + 1 if more < 8 else 8)

    def signed(self) -> int:
        """Return the next number with its sign, which is the lowest bit."""
        raw = self.unsigned()
        return -(raw >> 1) - 1 if raw & 1 else raw >> 1

    def bytes_(self) -> bytes:
        """Return the next string."""
        size = self.unsigned()
        self.at += size
        return self.data[self.at - size : self.at]

    def uuid(self) -> bytes:
        """Return sixteen bytes, each written as a number."""
        return bytes(self.unsigned() for _ in range(16))


#: flags, source, number, tag, last committed, sequence, committed in microseconds.
_TAGGED_FIELDS: Final = {
    0: _Varlen.unsigned,
    1: _Varlen.uuid,
    2: _Varlen.signed,
    3: lambda read: read.bytes_().decode(),
    4: _Varlen.signed,
    5: _Varlen.signed,
    6: _Varlen.unsigned,
}


def uuid(raw: bytes) -> str:
    """Return a UUID as MySQL spells it."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Query(NamedTuple):
    """A statement that is logged as such; ``database`` is the one that was in use."""

    database: str
    text: bytes


#: What LOAD DATA has behind the head that it shares with other statements: file, from where, to where, duplicates.
_LOADED_BYTES: Final = 13


def query(kind: int, data: bytes) -> Query:
    """Return the statement of a QUERY event, or of a LOAD DATA that is logged as a statement."""
    database_bytes, status_bytes = data[8], _U16(data, 11)[0]
    at = 13 + (_LOADED_BYTES if kind == EXECUTE_LOAD else 0) + status_bytes
    text = data[at + database_bytes + 1 :]
    if kind == MARIADB_QUERY_COMPRESSED:
        text = _uncompressed(text)
    return Query(data[at : at + database_bytes].decode(), text)


def rotate(data: bytes) -> tuple[str, int]:
    """Return the file that follows, and where in it."""
    return data[8:].decode(), _U64(data, 0)[0]


def has_checksums(format_event: bytes) -> bool:
    """Return whether the events behind a format description (its body, with its own checksum) carry checksums."""
    return format_event[-CHECKSUM_BYTES - 1] == 1


def packed_int(data: bytes, at: int) -> tuple[int, int]:
    """Return a length-encoded integer and where it ends."""
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def _uncompressed(data: bytes) -> bytes:
    """Return what MariaDB compressed: a byte with the method and the size of the length, the length, zlib's bytes."""
    if data[0] & 0x70:
        raise UnreadableLog("an event is compressed by an unknown method")
    return zlib.decompress(data[1 + (data[0] & 0x07) :])


# --- XA ---------------------------------------------------------------------------------------------------------------

_XA: Final = re.compile(rb"XA\s+\w+\s+X'([0-9a-fA-F]*)'\s*,\s*X'([0-9a-fA-F]*)'\s*,\s*(\d+)", re.IGNORECASE)


def xa_prepare(data: bytes) -> tuple[bool, bytes]:
    """Return whether an XA transaction is committed at once, and its name."""
    one_phase, number, first, second = _XA_PREPARE(data, 0)
    middle, end = 13 + first, 13 + first + second
    return bool(one_phase), _xid(number, data[13:middle].hex().encode(), data[middle:end].hex().encode())


def xid_of_statement(text: bytes) -> bytes:
    """Return the name of the transaction in an XA statement, as servers log it; raises UnreadableLog for another."""
    found = _XA.match(text.strip())
    if found is None:
        raise UnreadableLog("an XA statement of the log cannot be read")
    return _xid(int(found[3]), found[1].lower(), found[2].lower())


def _xid(number: int, first: bytes, second: bytes) -> bytes:
    return b"%d:%s:%s" % (number, first, second)
