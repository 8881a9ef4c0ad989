"""Messages of the stream into blocks: transactions, images, table versions, and the arithmetic of positions. Pure.

Positions: ``resume`` is the end LSN of the last commit, or a keepalive's position with nothing open: where the server
starts again with nothing lost. A transaction's ``position`` is its commit LSN, never its end (the end of one is the
commit of the next). Both are exact because the log is decoded in commit order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from capture.runs import RunBuilder
from capture.source import Batch
from capture.sources.postgres import pgoutput
from capture.sources.postgres.changes import Change, OtherIdentity, Reading, block_of, change
from runtime.names import spell
from schemas.block import Op, Transaction
from schemas.columnar.encode import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from capture.sources.postgres.pgoutput import Relation
    from schemas.block import Block, Row
    from schemas.columnar.block import ColumnBlock
    from schemas.table import TableSchema


#: A row message begins with its kind and its table's oid.
_ROW_HEAD: Final = 5

OTHER_IDENTITY: Final = "a partition of it has another replica identity: its old rows cannot be told"


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
    Blocks go by column from ``fewest`` rows on.
    """

    def __init__(
        self, start: int, follow: Callable[[Relation, Mapping[str, str]], Followed | None], fewest: int = FEWEST
    ) -> None:
        self._fewest = fewest
        self.resume = start
        self.news = False
        self._follow = follow
        self.rows = 0
        self._runs: RunBuilder[Reading, bytes | Change] = RunBuilder()
        self._sinks: dict[bytes, Callable[[bytes], None]] = {}
        self._relations: dict[int, Relation] = {}
        self._tables: dict[int, Reading | None] = {}
        self._readings: dict[int, Reading] = {}
        self._lost: dict[str, str] = {}
        self._muted: set[int] = set()
        self._truncates: list[tuple[int, int]] = []
        self._at: Transaction | None = None
        self._skipping = False
        self._inside = False
        self._handlers: Final[dict[int, Callable[[bytes], None]]] = {
            pgoutput.BEGIN: self._begin,
            pgoutput.COMMIT: self._commit,
            pgoutput.RELATION: self._relation,
            pgoutput.INSERT: self._row,
            pgoutput.UPDATE: self._row,
            pgoutput.DELETE: self._row,
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

    def feed(self, data: bytes) -> None:
        """Take in one pgoutput message; raises ProtocolError for bytes that are none.

        What a row says is read when it is taken, many rows at once: until then its kind and table are enough.
        """
        sink = self._sinks.get(data[:_ROW_HEAD])
        if sink is not None:
            sink(data)
            self.rows += 1
            return
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
        self._sinks.clear()
        blocks = list(self._blocks())
        self.rows = self._runs.held
        batch = Batch(blocks, self._at, {"lsn": self.resume}, self.between, self._lost)
        self._lost = {}
        self._muted.clear()
        self.news = False
        return batch

    def truncates(self) -> list[tuple[int, int]]:
        """Return the tables that were truncated since the last call, each with the transaction's 32-bit id."""
        found, self._truncates = self._truncates, []
        return found

    # --- transactions ----------------------------------------------------------------------------------------------

    def _begin(self, data: bytes) -> None:
        begin = pgoutput.begin(data)
        self._sinks.clear()
        self._inside = True
        self._skipping = begin.position < self.resume
        if not self._skipping:
            self._at = Transaction(begin.position, begin.committed_us, str(begin.xid))
            self._runs.begin(self._at)

    def _commit(self, data: bytes) -> None:
        commit = pgoutput.commit(data)
        self._sinks.clear()
        if not self._skipping:
            self._runs.commit()
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

    def _row(self, data: bytes) -> None:
        """Take in the first row of its kind and table since anything else came, and know where the next ones go."""
        table = self._table(pgoutput.oid(data))
        if table is None:
            return
        if table.enums:  # a label that is not in the version makes a new one, so every row is looked into at once
            try:
                self._add(table, change(table, data))
            except OtherIdentity:
                self._other_identity(table)
        else:
            self._sinks[data[:_ROW_HEAD]] = sink = self._runs.sink(table.oid, table)
            sink(data)
            self.rows += 1

    def _add(self, table: Reading, found: Change) -> None:
        if found.after is not None:
            table = self._version(table, found.after)
        self._runs.sink(table.oid, table)(found)
        self.rows += 1

    def _truncate(self, data: bytes) -> None:
        for oid in pgoutput.truncate(data).relations:
            table = self._table(oid)
            if table is not None:
                self._add(table, Change(Op.TRUNCATE, None, None))
                if self._at is not None:
                    self._truncates.append((oid, int(self._at.id)))

    def _blocks(self) -> Iterator[Block | ColumnBlock]:
        """Yield what was gathered; nothing more of a table that is lost."""
        lost = set()
        for run in self._runs.take():
            if run.version.oid not in lost:
                try:
                    yield block_of(run, self._fewest)
                except OtherIdentity:
                    self._other_identity(run.version)
                    lost.add(run.version.oid)

    def _other_identity(self, table: Reading) -> None:
        """A partition has another replica identity than its table (or had it when it was written to)."""
        self._lost[spell(table.schema.namespace, table.schema.name)] = OTHER_IDENTITY
        self._muted.add(table.oid)

    # --- table versions --------------------------------------------------------------------------------------------

    def revise(self) -> None:
        """Ask for every table's version again before its next row: the catalog has changed beside the log."""
        self._tables.clear()
        self._sinks.clear()

    def _relation(self, data: bytes) -> None:
        relation = pgoutput.relation(data)
        self._sinks.clear()
        self._relations[relation.oid] = relation
        self._tables.pop(relation.oid, None)

    def _table(self, oid: int) -> Reading | None:
        """Return what is known of a row's table, None when its rows go nowhere.

        Rows behind the point where a table was lost stay out of the batch that says so: they do not continue it.
        """
        if self._skipping or oid in self._muted:
            return None
        if oid not in self._tables:
            self._tables[oid] = self._followed(oid, {})
        return None if oid in self._muted else self._tables[oid]

    def _followed(self, oid: int, unknown: Mapping[str, str]) -> Reading | None:
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
        return self._same(Reading.of(relation, followed.schema))

    def _same(self, reading: Reading) -> Reading:
        """Return the object that stood for an equal version before, so that rows stay in one block."""
        known = self._readings.get(reading.oid)
        if known != reading:
            known = self._readings[reading.oid] = reading
        return known

    def _version(self, table: Reading, row: Row) -> Reading:
        """Return the version of a row: a label that was added to an enum comes without any Relation message."""
        for i, labels in table.enums:
            value = row[i]
            if isinstance(value, bytes) and value not in labels:
                return self._with_label(table, i, value.decode())
        return table

    def _with_label(self, table: Reading, column: int, label: str) -> Reading:
        known = self._followed(table.oid, {table.schema.columns[column].name: label})
        self._tables[table.oid] = known
        return known if known is not None else table
