"""The contract between capture and a source folder: what every source must be able to do.

Everything typed ``Mark``, ``Resume`` or ``Plan`` is JSON that the source alone understands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from schemas.block import Row, Transaction
    from schemas.columnar.block import AnyBlock, Columns
    from schemas.columnar.images import Kernel
    from schemas.table import Column, TableSchema

#: A place in the source's log; only the source compares two of them.
Mark = dict[str, Any]
#: Where the stream can be resumed with nothing lost; saved in the positions topic. What is large in it and seldom
#: changes stands under :data:`schemas.positions.REMEMBERED`, so that it is saved only when it did.
Resume = dict[str, Any]
#: How a table is cut into chunks.
Plan = dict[str, Any]


class SourceError(Exception):
    """The source cannot do what was asked; ``what`` happened, ``fix`` says what to do. Never holds a row value."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what, fix)  # both, so that it survives the way back from a worker process
        self.what, self.fix = what, fix

    def __str__(self) -> str:
        return self.what


class SourceUnavailable(SourceError):
    """The source could not be reached or went away: worth another try after a pause."""


class HistoryLost(SourceError):
    """The log between the saved resume point and now is gone, or it is another log: every table needs a resync."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A selected table as the source's catalog shows it now.

    ``name`` is its SQL spelling. ``identity`` tells it from a later table of the same name (PostgreSQL: oid).
    ``reason`` and ``fix`` are set when it cannot be captured as it stands.
    """

    name: str
    namespace: str
    table: str
    identity: dict[str, Any]
    keyless: bool
    reason: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What the stream gave since the last read.

    ``blocks`` hold the rows in stream order for each table (several blocks where a table's version changed, their
    end marks set, the last row of a transaction that goes on held back). ``at`` is the last transaction of which
    anything was read. ``resume`` is where to resume once everything up to here is durable: the newest transaction
    end or keepalive, so in the middle of a transaction it is that transaction's start. ``between`` says that the
    stream now stands between two transactions. ``lost`` names tables that the stream can no longer follow, with the
    reason (an incompatible type change, a rewrite): they need a resync.
    """

    blocks: list[AnyBlock]
    at: Transaction | None
    resume: Resume
    between: bool
    lost: dict[str, str] = field(default_factory=dict)


def is_full(rows: int, most: int, *, between: bool) -> bool:
    """Whether a batch of so many rows is to be handed on: where a transaction ends, or when that takes too long.

    Whoever is behind always has more rows than a batch takes. If batches ended wherever they were full, the stream
    would hardly ever stand between two transactions, and only there positions move, snapshots go on and requests are
    obeyed.
    """
    return rows >= most and (between or rows >= 2 * most)


class Visibility(Protocol):
    """Exactly which transactions a chunk's snapshot saw."""

    def includes(self, transaction: Transaction) -> bool:
        """Whether the snapshot saw this transaction's effects."""

    def after(self, fence: Mark) -> bool:
        """Whether every transaction that ran when ``fence`` was taken is over and seen by the snapshot."""


@dataclass(frozen=True, slots=True)
class ChunkRequest:
    """What a worker process needs to read one chunk; must pickle.

    ``keys`` (rows of source text by key column) asks for single rows instead of chunk ``index`` of ``plan``.
    ``spool`` is the folder for the file of rows.
    """

    connection: Any
    table: FoundTable
    plan: Plan
    index: int
    keys: tuple[tuple[str, ...], ...]
    spool: Path


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A chunk as a worker read it; must pickle.

    ``schema`` is the table version seen under the lock. ``upto`` is the log position taken after the last row; the
    stream must pass it before the rows may be published. ``stale`` says that the plan no longer holds (the table was
    rewritten): nothing was read. Rows lie in ``path``, in a form that the source's :meth:`Source.images` reads.
    """

    schema: TableSchema
    visibility: Visibility
    upto: Mark
    rows: int
    path: Path | None
    stale: bool = False


class Source(Protocol):
    """One source database. Called from one thread; chunk reading runs in worker processes."""

    def prepare(self) -> dict[str, Any]:
        """Make or find what streaming needs (slot, publication) and return the source's identity.

        Raises SourceError with the fix when a prerequisite is missing, SourceUnavailable when it cannot be reached.
        """

    def tables(self) -> list[FoundTable]:
        """Return the selected tables as they are now, those that cannot be captured with their reason."""

    def schema(self, table: FoundTable) -> TableSchema:
        """Return a table's version as the catalog shows it now (the stream brings its own, later)."""

    def publish(self, tables: Sequence[FoundTable]) -> bool:
        """Let the log carry exactly these tables from now on; whether anything changed."""

    def start(self, resume: Resume | None, identity: dict[str, Any]) -> None:
        """Open the stream at a saved resume point; without one at the place the source keeps for us, if any, or now.

        Raises HistoryLost when what lies after ``resume`` is gone or ``identity`` is not this source's.
        """

    def read(self, max_rows: int, max_wait_s: float) -> Batch:
        """Return what the stream has, at most about ``max_rows`` rows, after at most ``max_wait_s`` without any.

        A batch is handed on by :func:`is_full`.
        Answers the protocol's keepalives. Raises SourceUnavailable when the stream broke.
        """

    def confirm(self, resume: Resume) -> None:
        """Tell the source that everything before ``resume`` is durable and saved: it may drop its log."""

    def keep_alive(self) -> None:
        """Tell the source that we are still here while something else makes us wait; confirms nothing new."""

    def now(self) -> Mark:
        """Return a place in the log after everything committed so far, and see to it that an idle stream passes it."""

    def reached(self) -> Mark:
        """Return how far the stream was read."""

    def passed(self, mark: Mark) -> bool:
        """Whether the stream was read up to ``mark``."""

    def fence(self) -> Mark:
        """Return a mark for :meth:`Visibility.after`: a transaction of its own, taken now."""

    def settled(self, fence: Mark) -> bool:
        """Whether every transaction that ran when ``fence`` was taken is over: chunks read from now on are after it."""

    def plan(self, table: FoundTable) -> tuple[Plan, int, int | None] | None:
        """Return how to cut a table into chunks, how many there are, and the estimated number of rows.

        None when that cannot be told just now: it is asked again.
        """

    def connection(self) -> Any:
        """Return what a worker needs to connect; must pickle."""

    def chunk_reader(self) -> Callable[[ChunkRequest], ChunkRead]:
        """Return the module-level function that workers run; raises SourceError there."""

    def images(self, chunk: ChunkRead) -> Iterator[Columns]:
        """Yield the rows of a chunk in source form (the bytes that the stream would send), some thousands at a time."""

    def converter(self, column: Column) -> Callable[[bytes], object]:
        """Return how this column's source form becomes its Avro value (see schemas.codec)."""

    def kernel(self, column: Column) -> Kernel:
        """Return the same for whole columns (see schemas.columnar): exactly what the converter gives, or Unserved."""

    def lag_bytes(self) -> int | None:
        """Return how much log is not yet read, in bytes, if the source can tell."""

    def retained_bytes(self) -> int | None:
        """Return how much log the source keeps for us, in bytes, if the source can tell."""

    def close(self) -> None:
        """Let go of everything; safe to call twice."""


def key_text(table: TableSchema, row: Row) -> tuple[str, ...]:
    """Return the message key of a row in source form as text, for lists of keys; the key columns must be sent.

    Bytes that are no UTF-8 are in it too (as surrogates); :func:`key_values` gives them back.
    Raises AssertionError when one is not: the key is part of the replica identity by the choice of the key.
    """
    out = []
    for i in table.key:
        value = row[i]
        assert isinstance(value, bytes), "a key column was not sent"
        out.append(value.decode(errors="surrogateescape"))
    return tuple(out)


def key_values(key: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the values in source form that :func:`key_text` made text of."""
    return tuple(part.encode(errors="surrogateescape") for part in key)
