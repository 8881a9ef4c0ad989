"""Messages of the stream into blocks: transactions, images, table versions, and the arithmetic of positions. Pure.

Positions: ``resume`` is the end LSN of the last commit, or a keepalive's position with nothing open: where the server
starts again with nothing lost. A transaction's ``position`` is its commit LSN, never its end (the end of one is the
commit of the next). Both are exact because the log is decoded in commit order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capture.blocks import BlockBuilder
from capture.source import Batch
from capture.sources.postgres import pgoutput
from schemas.block import UNSENT, Op, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.sources.postgres.pgoutput import Images, Relation
    from schemas.block import Row
    from schemas.table import TableSchema


@dataclass(frozen=True, slots=True)
class Followed:
    """A table version of the stream. ``lost`` says why its rows from here on do not continue those before."""

    name: str
    schema: TableSchema
    lost: str | None = None


class Assembler:
    """Feed it every message; :meth:`take` what has come of them.

    ``follow`` is asked once for every Relation message and answers with the version, or None for a table that is none
    of ours. A transaction that ended at or before ``start`` is durable already and passes without effect.
    """

    def __init__(self, start: int, follow: Callable[[Relation], Followed | None]) -> None:
        self.resume = start
        self.news = False
        self._follow = follow
        self._builder = BlockBuilder()
        self._tables: dict[int, TableSchema | None] = {}
        self._sent: dict[int, tuple[bool, ...]] = {}
        self._lost: dict[str, str] = {}
        self._muted: set[int] = set()
        self._at: Transaction | None = None
        self._skipping = False
        self._inside = False
        self._handlers: Final[dict[int, Callable[[bytes], None]]] = {
            pgoutput.BEGIN: self._begin,
            pgoutput.COMMIT: self._commit,
            pgoutput.RELATION: self._relation,
            pgoutput.INSERT: self._insert,
            pgoutput.UPDATE: self._update,
            pgoutput.DELETE: self._delete,
            pgoutput.TRUNCATE: self._truncate,
            pgoutput.MESSAGE: self._message,
        }

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""
        return not self._inside

    @property
    def rows(self) -> int:
        """Rows that wait to be taken."""
        return self._builder.rows

    def feed(self, data: bytes) -> None:
        """Take in one pgoutput message; raises ProtocolError for bytes that are none."""
        handler = self._handlers.get(data[0])
        if handler is not None:
            handler(data)
        elif data[0] not in pgoutput.IGNORED:
            raise pgoutput.ProtocolError("a message of an unknown kind")

    def keepalive(self, position: int) -> None:
        """The server has nothing more before ``position``; inside a transaction that says nothing."""
        if not self._inside:
            self.resume = max(self.resume, position)

    def take(self) -> Batch:
        """Return everything gathered since the last call."""
        batch = Batch(self._builder.take(), self._at, {"lsn": self.resume}, self.between, self._lost)
        self._lost = {}
        self._muted.clear()
        self.news = False
        return batch

    # --- transactions ----------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> None:
        begin = pgoutput.begin(data)
        self._inside = True
        self._skipping = begin.position < self.resume
        if not self._skipping:
            self._at = Transaction(begin.position, begin.committed_us, str(begin.xid))
            self._builder.begin(self._at)

    def _commit(self, data: bytes) -> None:
        commit = pgoutput.commit(data)
        if not self._skipping:
            self._builder.commit()
        self._inside = self._skipping = False
        self.resume = max(self.resume, commit.end)
        self.news = True

    def _message(self, data: bytes) -> None:
        """A message outside transactions stands behind every commit before it: ours, so that idle streams move."""
        message = pgoutput.message(data)
        if not message.transactional and not self._inside:
            self.resume = max(self.resume, message.position)
            self.news = True

    # --- rows ------------------------------------------------------------------------------------------------------

    def _insert(self, data: bytes) -> None:
        images = pgoutput.insert(data)
        table = self._table(images.oid)
        if table is not None:
            self._builder.row(table, Op.CREATE, None, images.new)

    def _update(self, data: bytes) -> None:
        images = pgoutput.update(data)
        table = self._table(images.oid)
        if table is None or images.new is None:
            return
        after = images.new
        if images.partial and images.old is not None:
            after = _filled(after, images.old)
        self._builder.row(table, Op.UPDATE, self._before(images), after)

    def _delete(self, data: bytes) -> None:
        images = pgoutput.delete(data)
        table = self._table(images.oid)
        if table is not None:
            self._builder.row(table, Op.DELETE, self._before(images), None)

    def _truncate(self, data: bytes) -> None:
        for oid in pgoutput.truncate(data).relations:
            table = self._table(oid)
            if table is not None:
                self._builder.row(table, Op.TRUNCATE, None, None)

    def _before(self, images: Images) -> Row | None:
        """Return the old image; a key image has NULL where nothing was sent, and unsent is never NULL."""
        if images.old is None or images.full:
            return images.old
        sent = self._sent[images.oid]
        return tuple([value if known else UNSENT for value, known in zip(images.old, sent, strict=True)])

    # --- table versions --------------------------------------------------------------------------------------------

    def _relation(self, data: bytes) -> None:
        relation = pgoutput.relation(data)
        followed = self._follow(relation)
        self._sent[relation.oid] = tuple(column.identity for column in relation.columns)
        self._tables[relation.oid] = followed.schema if followed else None
        if followed and followed.lost:
            self._lost[followed.name] = followed.lost
            self._muted.add(relation.oid)

    def _table(self, oid: int) -> TableSchema | None:
        """Return the version of a row's table, None when its rows go nowhere.

        Rows behind the point where a table was lost stay out of the batch that says so: they do not continue it.
        """
        if self._skipping or oid in self._muted:
            return None
        try:
            return self._tables[oid]
        except KeyError:
            raise pgoutput.ProtocolError("a row of a table that was not announced") from None


def _filled(after: Row, before: Row) -> Row:
    """Return the new row with what was not sent taken from the old one, where that has it.

    A value that was left out is stored out of line, so it is not NULL: a NULL in the old image is a hole there.
    """
    return tuple(
        [old if new is UNSENT and old is not None else new for new, old in zip(after, before, strict=True)]
    )
