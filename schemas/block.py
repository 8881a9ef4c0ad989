"""Blocks: some rows of one table version, in order. What travels between all stages on both sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from schemas.table import TableSchema


class Op(str, Enum):  # noqa: UP042 - the member must be the very text that is encoded
    """What happened to a row, in the letters of Debezium's envelope."""

    READ = "r"
    CREATE = "c"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"


class Unsent(Enum):
    """The type of :data:`UNSENT`."""

    UNSENT = "unsent"

    def __repr__(self) -> str:
        return "UNSENT"


#: The source did not send this column (unchanged TOAST, unchanged LOB, not part of the old key). Never NULL.
UNSENT: Final = Unsent.UNSENT

#: One value: bytes in the form of its side (capture: the source's; apply: COPY text), None = NULL, or UNSENT.
Value = bytes | None | Unsent
#: One row image, values by column position of the block's table version.
Row = tuple[Value, ...]


class Transaction(NamedTuple):
    """What all rows of one source transaction share.

    ``position`` is its commit position (PostgreSQL: commit LSN), ``committed_us`` its commit time in microseconds
    since 1970 UTC, ``id`` the source's own name of it (PostgreSQL: the 32-bit xid in decimal).
    For rows of a snapshot: the last transaction read before them, and ``id`` empty.
    """

    position: int
    committed_us: int
    id: str


class Origin(str, Enum):  # noqa: UP042 - the member must be the very text that is encoded
    """Where a block's rows came from, in the words of Debezium's ``source.snapshot``."""

    LOG = "false"
    CHUNK = "incremental"
    OPENING = "first_in_data_collection"


@dataclass(slots=True)
class Block:
    """Some rows of one table version, in order, as parallel lists of one length.

    ``transactions`` is shared; ``tx[i]`` is the index of row i's transaction in it. ``before[i]`` and ``after[i]``
    are row images or None. ``last[i]`` is the end mark: row i is the last of its transaction in its topic partition.
    ``key_change[i]``: row i is an UPDATE whose key differs between before and after (the codec makes two events of
    it, ordinals 2n and 2n+1). The order key of row i is (incarnation, transactions[tx[i]].position, run, ordinals[i]).
    A truncate has neither image.
    """

    table: TableSchema
    transactions: list[Transaction]
    incarnation: int = 0
    run: int = 0
    origin: Origin = Origin.LOG
    ops: list[Op] = field(default_factory=list)
    tx: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    before: list[Row | None] = field(default_factory=list)
    after: list[Row | None] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    key_change: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ops)
