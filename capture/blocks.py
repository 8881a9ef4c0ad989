"""Rows of the stream, gathered into blocks: ordinals, end marks, and the row that is held back. Pure."""

from __future__ import annotations

from schemas.block import Block, Op, Row, Transaction
from schemas.table import TableSchema


class BlockBuilder:
    """Collects the rows of many transactions by table; what :meth:`take` returns may be published as it is.

    Of each table the last row of a transaction that goes on is held back, because only the commit (or the next row)
    tells whether it is the last. Ordinals count per table within the transaction as the source sent them (rule 14).
    """

    def __init__(self) -> None:
        self.rows = 0
        self._done: list[Block] = []
        self._open: dict[tuple[str, str], Block] = {}
        self._held: dict[tuple[str, str], Block] = {}
        self._ordinals: dict[tuple[str, str], int] = {}
        self._transaction: Transaction | None = None

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""
        return self._transaction is None

    def begin(self, transaction: Transaction) -> None:
        """A transaction starts; all rows until :meth:`commit` are its."""
        self._transaction = transaction

    def row(self, table: TableSchema, op: Op, before: Row | None, after: Row | None) -> None:
        """Add one row of the open transaction; a truncate has no images."""
        name = (table.namespace, table.name)
        ordinal = self._ordinals.get(name, 0)
        self._ordinals[name] = ordinal + 2
        self._release(name)
        block = self._held[name] = Block(table, [self._current()])
        block.ops.append(op)
        block.tx.append(0)
        block.ordinals.append(ordinal)
        block.before.append(before)
        block.after.append(after)
        block.last.append(False)
        block.key_change.append(op is Op.UPDATE and _key_differs(table, before, after))
        self.rows += 1

    def commit(self) -> None:
        """The open transaction is over: its last row of each table gets the end mark."""
        for name, block in list(self._held.items()):
            block.last[-1] = True
            self._release(name)
        self._ordinals.clear()
        self._transaction = None

    def take(self) -> list[Block]:
        """Return all rows that may go, in order for each table, and forget them."""
        blocks = [*self._done, *self._open.values()]
        self._done, self._open = [], {}
        self.rows = len(self._held)
        return blocks

    def _current(self) -> Transaction:
        if self._transaction is None:
            raise AssertionError("a row outside any transaction")
        return self._transaction

    def _release(self, name: tuple[str, str]) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        block = self._open.get(name)
        if block is None or block.table != held.table:
            if block is not None:
                self._done.append(block)
            self._open[name] = held
            return
        if block.transactions[-1] != held.transactions[0]:
            block.transactions.append(held.transactions[0])
        block.tx.append(len(block.transactions) - 1)
        block.ops += held.ops
        block.ordinals += held.ordinals
        block.before += held.before
        block.after += held.after
        block.last += held.last
        block.key_change += held.key_change


def _key_differs(table: TableSchema, before: Row | None, after: Row | None) -> bool:
    return before is not None and after is not None and any(before[i] != after[i] for i in table.key)
