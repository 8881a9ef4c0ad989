"""The records of ``<prefix>.positions``: what capture remembers, and what status, wait and apply read of it.

The topic has one partition and is compacted. Every start and every rewind of capture appends a start record; its
offset plus one is the ``run`` (0 is the run of all log events). Records of a lower run that stand after a start record
are void: a late save of a process that was replaced. Values are JSON; keys are JSON arrays: ``["start", id]``,
``["stream", run]``, ``["memory", run, number]``, ``["table", run, name]``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, Final

from schemas.errors import ContractError

#: The part of a resume point that is large and seldom changes: it has records of its own.
REMEMBERED: Final = "remembered"


class Phase(str, Enum):  # noqa: UP042 - the member must be the very text that is encoded
    """How far capture has come with a table."""

    PENDING = "pending"  # known or requested; its events are not published
    SNAPSHOTTING = "snapshotting"  # opened with a truncate; chunks are being read
    STREAMING = "streaming"  # loaded
    BLOCKED = "blocked"  # cannot be captured as it stands; `fix` says what to do
    NEEDS_RESYNC = "needs_resync"  # history is gone; `ferryman resync` takes a new snapshot
    REMOVED = "removed"  # no longer selected or dropped at the source


@dataclass(frozen=True, slots=True)
class StartRecord:
    """One start or rewind of a capture daemon."""

    id: str
    source: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """Where the stream stands: everything before ``resume`` is durable in the topics.

    ``resume`` and ``identity`` are understood by the source alone (JSON objects). ``memory`` is the number of the
    record that holds what ``resume`` lacks under :data:`REMEMBERED`. ``position`` is the commit position
    of the last transaction read; ``committed_us`` its commit time. ``reached`` is the source's own measure of how far
    its log was read (compared by the source alone; PostgreSQL: ``{"lsn": int}``). ``control_offset`` is the next
    offset of ``<prefix>.control`` to be obeyed. ``address`` is the daemon's HTTP address, if any. ``rows`` were
    published since the run began, ``reference_rows`` of them written one by one instead of by column.
    """

    run: int
    source: str
    incarnation: int
    resume: dict[str, Any]
    identity: dict[str, Any]
    reached: dict[str, Any]
    position: int = 0
    committed_us: int = 0
    control_offset: int = 0
    saved_ms: int = 0
    address: str | None = None
    state: str = "running"  # running | stopped
    reason: str | None = None
    rows: int | None = None
    reference_rows: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """What the source remembers of its tables at a resume point, written before the stream records that refer to it.

    ``content`` is understood by the source alone (a JSON object).
    """

    run: int
    number: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableRecord:
    """How far capture has come with one table; ``table`` is the source's name in its SQL spelling.

    ``generation`` counts the snapshots asked for. ``plan`` is the source's chunk plan (opaque, JSON) and ``done`` the
    chunks of it that are in the topic, as inclusive ranges. ``todo`` lists keys (source text by key column) that must
    be read again. ``loaded`` is the packed order key, in hex, at which the table is complete, ``newest`` (while it
    loads) that of the newest event in its topic.
    ``rows_done`` and ``rows_total`` (an estimate) tell the progress of the snapshot.
    """

    run: int
    table: str
    topic: str
    partitions: int = 1
    generation: int = 1
    phase: Phase = Phase.PENDING
    reason: str | None = None
    fix: str | None = None
    keyless: bool = False
    plan: dict[str, Any] | None = None
    done: tuple[tuple[int, int], ...] = ()
    todo: tuple[tuple[str, ...], ...] = ()
    loaded: str | None = None
    newest: str | None = None
    rows_done: int = 0
    rows_total: int | None = None
    started_ms: int | None = None
    loaded_ms: int | None = None
    identity: dict[str, Any] = field(default_factory=dict)


Record = StartRecord | StreamRecord | MemoryRecord | TableRecord
#: Not asdict: it copies all that a record holds, which is far more work than to write it down.
_FIELDS: Final = {cls: [f.name for f in fields(cls)] for cls in (StartRecord, StreamRecord, MemoryRecord, TableRecord)}


_KINDS: Final[dict[str, type[Record]]] = {
    "start": StartRecord,
    "stream": StreamRecord,
    "memory": MemoryRecord,
    "table": TableRecord,
}


def encode(record: Record) -> tuple[bytes, bytes]:
    """Return the key and the value of a record."""
    if isinstance(record, StartRecord):
        key: list[Any] = ["start", record.id]
    elif isinstance(record, StreamRecord):
        key = ["stream", record.run]
    elif isinstance(record, MemoryRecord):
        key = ["memory", record.run, record.number]
    else:
        key = ["table", record.run, record.table]
    return _json(key), _json({name: getattr(record, name) for name in _FIELDS[type(record)]})


def decode(key: bytes, value: bytes) -> Record:
    """Return the record of a message; unknown fields are ignored, so that newer writers can be read.

    Raises ContractError when the message is none of ours.
    """
    try:
        kind = json.loads(key)[0]
        data: dict[str, Any] = json.loads(value)
        cls: type[Record] = _KINDS[kind]
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        if cls is TableRecord:
            known["phase"] = Phase(known["phase"])
            known["done"] = tuple((a, b) for a, b in known["done"])
            known["todo"] = tuple(tuple(k) for k in known["todo"])
        return cls(**known)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ContractError(f"a record of the positions topic cannot be read: {type(error).__name__}") from error


def apart(stream: StreamRecord, number: int) -> tuple[StreamRecord, MemoryRecord | None]:
    """Return a stream record without what its source remembers, and the record of that number which holds it.

    None when the source remembers nothing; the stream record is then the same.
    """
    if REMEMBERED not in stream.resume:
        return stream, None
    resume = {name: value for name, value in stream.resume.items() if name != REMEMBERED}
    return replace(stream, resume=resume, memory=number), MemoryRecord(stream.run, number, stream.resume[REMEMBERED])


@dataclass(slots=True)
class Positions:
    """What stands in the positions topic: fold its records in offset order with :meth:`add`.

    ``run`` is the highest run seen; ``stream`` (whole, with what the source remembers) and ``tables`` (by source name)
    are those in force.
    """

    run: int = 0
    stream: StreamRecord | None = None
    tables: dict[str, TableRecord] = field(default_factory=dict)
    _memory: MemoryRecord | None = None

    def add(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take in one message; tombstones only clean up and change nothing. Raises ContractError for a foreign one."""
        if value is None:
            return
        if key is None:
            raise ContractError("a record of the positions topic has no key")
        record = decode(key, value)
        if isinstance(record, StartRecord):
            self.run = max(self.run, offset + 1)
        elif record.run >= self.run:
            self._put(record)

    def _put(self, record: StreamRecord | MemoryRecord | TableRecord) -> None:
        if isinstance(record, StreamRecord):
            self.stream = self._whole(record)
        elif isinstance(record, MemoryRecord):
            self._memory = record
        elif record.phase is Phase.REMOVED:
            self.tables.pop(record.table, None)
        else:
            self.tables[record.table] = record

    def _whole(self, record: StreamRecord) -> StreamRecord:
        """Join a stream record with its memory; that of an older save may be gone by the time somebody reads it."""
        memory = self._memory
        if memory is None or (memory.run, memory.number) != (record.run, record.memory):
            return record
        return replace(record, resume=record.resume | {REMEMBERED: memory.content}, memory=None)

    def succeeded_by(self, run: int) -> Positions:
        """Return the same standing as its successor, run ``run``, takes it over.

        Raises ContractError when what the source remembered is missing: without it, changes would pass unnoticed.
        """
        if self.stream is not None and self.stream.memory is not None:
            raise ContractError(f"the positions topic lacks memory {self.stream.memory} of run {self.stream.run}")
        stream = replace(self.stream, run=run) if self.stream else None
        return Positions(run, stream, {name: replace(t, run=run) for name, t in self.tables.items()})

    def records(self) -> list[Record]:
        """Return the records in force, the stream's last."""
        return [*self.tables.values(), *([self.stream] if self.stream else [])]


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
