"""Rows of the stream, gathered by table before anybody looks into them: transactions, ordinals, end marks. Pure.

A row is whatever its source makes of it (its bytes on the wire, say); what it says is read later, many rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from schemas.block import Transaction
    from schemas.columnar.arrays import Ints, Mask

Version = TypeVar("Version")
Row = TypeVar("Row")


class RowList(Protocol[Row]):
    """What holds the rows of a run; called without arguments, its type makes an empty one."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[Row]:
        """Yield them in order."""

    def append(self, row: Row, /) -> None:
        """Add one at the end."""

    def extend(self, rows: Any, /) -> None:
        """Add many."""

    def pop(self) -> Row:
        """Take away the last."""


@dataclass(slots=True)
class Run(Generic[Version, Row]):
    """Consecutive rows of one table version.

    ``begins[i]`` is the place of the first row of ``transactions[i]``, ``first`` the ordinal of the run's first row,
    ``ended`` whether the last transaction has no more rows of the table.
    """

    version: Version
    transactions: list[Transaction]
    first: int = 0
    begins: list[int] = field(default_factory=lambda: [0])
    rows: RowList[Row] = field(default_factory=list)
    ended: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def tx(self) -> Ints:
        """Return the index of each row's transaction."""
        begins = np.zeros(len(self.rows), np.int64)
        begins[self.begins[1:]] = 1
        return np.cumsum(begins)

    def ordinals(self) -> Ints:
        """Return each row's ordinal: 2n for the n-th row of the table in its transaction."""
        ordinals: Ints = 2 * (np.arange(len(self.rows)) - np.array(self.begins, np.int64)[self.tx()])
        if len(self.begins) > 1:
            ordinals[: self.begins[1]] += self.first
        else:
            ordinals += self.first
        return ordinals

    def last(self) -> Mask:
        """Return the end marks: which rows are the last of their transaction."""
        last = np.zeros(len(self.rows), np.bool_)
        last[np.array(self.begins[1:], np.int64) - 1] = True
        last[-1] = self.ended
        return last

    def lists(self) -> tuple[list[int], list[int], list[bool]]:
        """Return what ``tx``, ``ordinals`` and ``last`` do, as lists: for few rows several times as fast."""
        tx: list[int] = []
        ordinals: list[int] = []
        last: list[bool] = []
        ordinal = self.first
        for i, (begin, end) in enumerate(pairwise([*self.begins, len(self.rows)])):
            count = end - begin
            tx += [i] * count
            ordinals += range(ordinal, ordinal + 2 * count, 2)
            last += [False] * (count - 1) + [True]
            ordinal = 0
        last[-1] = self.ended
        return tx, ordinals, last

    def hold_back(self) -> Run[Version, Row]:
        """Take out the last row and return it as a run of its own, which goes on."""
        ordinal = int(self.ordinals()[-1])
        held = Run(self.version, self.transactions[-1:], ordinal, rows=type(self.rows)())
        held.rows.append(self.rows.pop())
        if self.begins[-1] == len(self.rows) and len(self.begins) > 1:
            self.begins.pop()
            self.transactions.pop()
            self.ended = True
        return held

    def next_version(self, version: Version) -> Run[Version, Row]:
        """Return an empty run that goes on where this one ends, in the same transaction."""
        return Run(version, self.transactions[-1:], int(self.ordinals()[-1]) + 2, rows=type(self.rows)())


@dataclass(slots=True)
class _Table(Generic[Version, Row]):
    open: Run[Version, Row]
    finished: list[Run[Version, Row]] = field(default_factory=list)


class RunBuilder(Generic[Version, Row]):
    """Collects the rows of many transactions by table; what :meth:`take` returns may be published as it is.

    Of each table the last row of a transaction that goes on is held back, because only the commit (or the next row)
    tells whether it is the last. Ordinals count per table within the transaction as the source sent them (rule 14 of
    docs/snapshot-merge.md).
    """

    def __init__(self, rows: Callable[[], RowList[Row]] = list) -> None:
        self._new_rows = rows
        self._tables: dict[Hashable, _Table[Version, Row]] = {}
        self._touched: dict[Hashable, _Table[Version, Row]] = {}
        self._transaction: Transaction | None = None

    @property
    def held(self) -> int:
        """How many rows are held back, once all others are taken."""
        return len(self._tables)

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""
        return self._transaction is None

    def begin(self, transaction: Transaction) -> None:
        """A transaction starts; all rows until :meth:`commit` are its."""
        self._transaction = transaction

    def sink(self, table: Hashable, version: Version) -> Callable[[Row], None]:
        """Return what takes the next rows of a table's version in the open transaction, one at least.

        It is good until this is called for another version of the table, and until :meth:`commit` and :meth:`take`.
        """
        return self._open(table, version).rows.append

    def extend(self, table: Hashable, version: Version, rows: Any) -> None:
        """Take in rows of a table's version in the open transaction, one at least: what the list of rows takes."""
        self._open(table, version).rows.extend(rows)

    def commit(self) -> None:
        """The open transaction is over: its last row of each table gets the end mark."""
        for held in self._touched.values():
            held.open.ended = True
        self._touched.clear()
        self._transaction = None

    def take(self) -> list[Run[Version, Row]]:
        """Return all rows that may go, in order for each table, and forget them."""
        runs: list[Run[Version, Row]] = []
        kept: dict[Hashable, _Table[Version, Row]] = {}
        for table, held in self._tables.items():
            runs += held.finished
            run = held.open
            if table in self._touched:
                kept[table] = self._touched[table] = _Table(run.hold_back())
            if len(run):
                runs.append(run)
        self._tables = kept
        return runs

    def _open(self, table: Hashable, version: Version) -> Run[Version, Row]:
        """Return the run that takes the next rows of a table's version."""
        held = self._touched.get(table)
        if held is None:
            held = self._touched[table] = self._enter(table, version)
        if held.open.version is not version:
            held.finished.append(held.open)
            held.open = held.open.next_version(version)
        return held.open

    def _enter(self, table: Hashable, version: Version) -> _Table[Version, Row]:
        """The open transaction has its first row of a table."""
        if self._transaction is None:
            raise AssertionError("a row outside any transaction")
        held = self._tables.get(table)
        if held is None:
            held = self._tables[table] = _Table(Run(version, [self._transaction], rows=self._new_rows()))
        elif held.open.version is not version:
            held.finished.append(held.open)
            held.open = Run(version, [self._transaction], rows=self._new_rows())
        else:
            held.open.begins.append(len(held.open))
            held.open.transactions.append(self._transaction)
            held.open.ended = False
        return held
