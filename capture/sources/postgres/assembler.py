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
from schemas.table import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from capture.sources.postgres.pgoutput import Images, Relation
    from schemas.block import Row
    from schemas.table import TableSchema


@dataclass(frozen=True, slots=True)
class Followed:
    """A table version of the stream. ``lost`` says why what was published of the table before no longer holds."""

    name: str
    schema: TableSchema
    lost: str | None = None


class Assembler:
    """Feed it every message; :meth:`take` what has come of them.

    ``follow`` is asked when a table first has rows, again after its Relation message, and when an enum has a label
    that is not in the version (labels by column); it answers with the version, or None for a table that is none of
    ours. A transaction that ended at or before ``start`` is durable already and passes without effect.
    """

    def __init__(self, start: int, follow: Callable[[Relation, Mapping[str, str]], Followed | None]) -> None:
        self.resume = start
        self.news = False
        self._follow = follow
        self._builder = BlockBuilder()
        self._relations: dict[int, Relation] = {}
        self._tables: dict[int, _Table | None] = {}
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
    def at(self) -> Transaction | None:
        """The transaction that was read last, or is being read."""
        return self._at

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
        if table is not None and images.new is not None:
            self._builder.row(self._version(table, images.new), Op.CREATE, None, images.new)

    def _update(self, data: bytes) -> None:
        images = pgoutput.update(data)
        table = self._table(images.oid)
        if table is None or images.new is None:
            return
        after = images.new
        if images.partial and images.old is not None:
            after = _filled(after, images.old)
        self._builder.row(self._version(table, after), Op.UPDATE, _before(table, images), after)

    def _delete(self, data: bytes) -> None:
        images = pgoutput.delete(data)
        table = self._table(images.oid)
        if table is not None:
            self._builder.row(table.schema, Op.DELETE, _before(table, images), None)

    def _truncate(self, data: bytes) -> None:
        for oid in pgoutput.truncate(data).relations:
            table = self._table(oid)
            if table is not None:
                self._builder.row(table.schema, Op.TRUNCATE, None, None)

    # --- table versions --------------------------------------------------------------------------------------------

    def revise(self) -> None:
        """Ask for every table's version again before its next row: the catalog has changed beside the log."""
        self._tables.clear()

    def _relation(self, data: bytes) -> None:
        relation = pgoutput.relation(data)
        self._relations[relation.oid] = relation
        self._tables.pop(relation.oid, None)

    def _table(self, oid: int) -> _Table | None:
        """Return what is known of a row's table, None when its rows go nowhere.

        Rows behind the point where a table was lost stay out of the batch that says so: they do not continue it.
        """
        if self._skipping or oid in self._muted:
            return None
        if oid not in self._tables:
            self._tables[oid] = self._followed(oid, {})
        return None if oid in self._muted else self._tables[oid]

    def _followed(self, oid: int, unknown: Mapping[str, str]) -> _Table | None:
        try:
            relation = self._relations[oid]
        except KeyError:
            raise pgoutput.ProtocolError("a row of a table that was not announced") from None
        followed = self._follow(relation, unknown)
        if followed is None:
            return None
        if followed.lost:
            self._lost[followed.name] = followed.lost
            self._muted.add(oid)
        return _Table.of(relation, followed.schema)

    def _version(self, table: _Table, row: Row) -> TableSchema:
        """Return the version of a row: a label that was added to an enum comes without any Relation message."""
        for i, labels in table.enums:
            value = row[i]
            if isinstance(value, bytes) and value not in labels:
                return self._with_label(table, i, value.decode())
        return table.schema

    def _with_label(self, table: _Table, column: int, label: str) -> TableSchema:
        known = self._followed(table.oid, {table.schema.columns[column].name: label})
        self._tables[table.oid] = known
        return known.schema if known is not None else table.schema


@dataclass(frozen=True, slots=True)
class _Table:
    """A followed table: ``sent`` tells which columns an old key image has, ``enums`` the labels by column."""

    oid: int
    schema: TableSchema
    sent: tuple[bool, ...]
    enums: tuple[tuple[int, frozenset[bytes]], ...]

    @classmethod
    def of(cls, relation: Relation, schema: TableSchema) -> _Table:
        enums = [
            (i, frozenset(label.encode() for label in column.type.allowed))
            for i, column in enumerate(schema.columns)
            if column.type.kind is Kind.ENUM
        ]
        return cls(relation.oid, schema, tuple(column.identity for column in relation.columns), tuple(enums))


def _before(table: _Table, images: Images) -> Row | None:
    """Return the old image; a key image has NULL where nothing was sent, and unsent is never NULL."""
    if images.old is None or images.full:
        return images.old
    return tuple([value if sent else UNSENT for value, sent in zip(images.old, table.sent, strict=True)])


def _filled(after: Row, before: Row) -> Row:
    """Return the new row with what was not sent taken from the old one, where that has it.

    A value that was left out is stored out of line, so it is not NULL: a NULL in the old image is a hole there.
    """
    return tuple([old if new is UNSENT and old is not None else new for new, old in zip(after, before, strict=True)])
