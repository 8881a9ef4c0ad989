"""Rows gathered into blocks one by one: what :mod:`capture.runs` must come to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.block import Block, Op, Row, Transaction

if TYPE_CHECKING:
    from schemas.table import TableSchema


@dataclass(slots=True)
class _Table:
    """The rows of one table that are not taken yet, and twice the count of its rows in this transaction."""

    open: Block
    transaction: Transaction
    finished: list[Block] = field(default_factory=list)
    ordinal: int = 0


class BlockBuilder:
    """Collects the rows of many transactions by table; what :meth:`take` returns may be published as it is.

    Of each table the last row of a transaction that goes on is held back, because only the commit (or the next row)
    tells whether it is the last. Ordinals count per table within the transaction as the source sent them (rule 14 of
    docs/snapshot-merge.md).
    """

    def __init__(self) -> None:
        self.rows = 0
        self._tables: dict[tuple[str, str], _Table] = {}
        self._touched: dict[tuple[str, str], _Table] = {}
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
        held = self._touched.get(name)
        if held is None:
            held = self._touched[name] = self._enter(name, table)
        if held.open.table is not table:
            self._next_version(held, table)
        block = held.open
        block.ops.append(op)
        block.tx.append(len(block.transactions) - 1)
        block.ordinals.append(held.ordinal)
        block.before.append(before)
        block.after.append(after)
        block.last.append(False)
        block.key_change.append(before is not None and op is Op.UPDATE and _key_differs(table, before, after))
        held.ordinal += 2
        self.rows += 1

    def commit(self) -> None:
        """The open transaction is over: its last row of each table gets the end mark."""
        for held in self._touched.values():
            held.open.last[-1] = True
        self._touched.clear()
        self._transaction = None

    def take(self) -> list[Block]:
        """Return all rows that may go, in order for each table, and forget them."""
        blocks: list[Block] = []
        kept: dict[tuple[str, str], _Table] = {}
        for name, held in self._tables.items():
            blocks += held.finished
            if name in self._touched:
                kept[name] = held
                blocks += _hold_back(held)
            elif len(held.open):
                blocks.append(held.open)
        self._tables = kept
        self.rows = len(kept)
        return blocks

    def _enter(self, name: tuple[str, str], table: TableSchema) -> _Table:
        """The open transaction has its first row of a table."""
        if self._transaction is None:
            raise AssertionError("a row outside any transaction")
        held = self._tables.get(name)
        if held is None:
            held = self._tables[name] = _Table(Block(table, [self._transaction]), self._transaction)
        else:
            held.open.transactions.append(self._transaction)
        held.transaction, held.ordinal = self._transaction, 0
        return held

    @staticmethod
    def _next_version(held: _Table, table: TableSchema) -> None:
        if len(held.open):
            held.finished.append(held.open)
        held.open = Block(table, [held.transaction])


def _hold_back(held: _Table) -> list[Block]:
    """Return the open block but for its last row, which stays; finished blocks are taken too."""
    block, rest = held.open, len(held.open) - 1
    held.finished = []
    held.open = Block(
        block.table, [held.transaction], ops=block.ops[rest:], tx=[0], ordinals=block.ordinals[rest:],
        before=block.before[rest:], after=block.after[rest:], last=block.last[rest:],
        key_change=block.key_change[rest:],
    )  # fmt: skip
    for rows in (block.ops, block.tx, block.ordinals, block.before, block.after, block.last, block.key_change):
        del rows[rest:]
    return [block] if rest else []


def _key_differs(table: TableSchema, before: Row, after: Row | None) -> bool:
    return after is not None and any(before[i] != after[i] for i in table.key)
