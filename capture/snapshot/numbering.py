"""Rows of a snapshot as blocks: (position of the last transaction read, this run, running ordinals).

Pure but for the clock.

Rule numbers refer to docs/snapshot-merge.md.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.block import Block, Op, Origin, Row, Transaction
from schemas.columnar.block import ColumnBlock, Part

if TYPE_CHECKING:
    from capture.source import Visibility
    from schemas.columnar.block import Columns
    from schemas.table import TableSchema


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run of capture begins: its numbers in the order key and the last transaction that was read."""

    incarnation: int
    run: int
    at: Transaction


class Numbering:
    """Gives the rows of one run their place in the order. ``at`` is the last transaction read from the stream."""

    def __init__(self, standing: Standing) -> None:
        self.at = standing.at
        self.incarnation, self.run = standing.incarnation, standing.run
        self._ordinal = 0

    def block(self, schema: TableSchema, rows: list[Row | None], op: Op, origin: Origin) -> Block:
        """Return rows read by a worker as a block of this run; None stands for the truncate's missing image."""
        n = len(rows)
        return Block(
            schema, [self._here()], self.incarnation, self.run, origin,
            ops=[op] * n, tx=[0] * n, ordinals=self._ordinals(n), before=[None] * n, after=rows,
            last=[True] * n, key_change=[False] * n,
        )  # fmt: skip

    def columns(self, schema: TableSchema, images: Columns) -> ColumnBlock:
        """Return rows of a chunk, as a worker read them, as a block of this run."""
        n = len(images)
        ordinals = self._next(n)
        return ColumnBlock(
            schema, [self._here()], np.full(n, ord(Op.READ.value), np.uint8), np.zeros(n, np.int64),
            np.arange(ordinals.start, ordinals.stop, ordinals.step), np.ones(n, np.bool_), np.zeros(n, np.bool_),
            [Part(np.arange(n), None, images)], self.incarnation, self.run, Origin.CHUNK,
        )  # fmt: skip

    def unseen(self, block: Block, seen: Visibility) -> Block:
        """Return the unseen rows of a set-aside block under this run: they do not keep their own position (rule 9)."""
        keep = [i for i in range(len(block)) if not seen.includes(block.transactions[block.tx[i]])]
        n = len(keep)
        return Block(
            block.table, [self._here()], self.incarnation, self.run, Origin.LOG,
            ops=[block.ops[i] for i in keep], tx=[0] * n, ordinals=self._ordinals(n),
            before=[block.before[i] for i in keep], after=[block.after[i] for i in keep],
            last=[True] * n, key_change=[False] * n,
        )  # fmt: skip

    def _here(self) -> Transaction:
        """Return where rows stand that no transaction brought: behind the last one read, as of now."""
        return Transaction(self.at.position, time.time_ns() // 1_000, "")

    def _ordinals(self, n: int) -> list[int]:
        return list(self._next(n))

    def _next(self, n: int) -> range:
        """Return the next n ordinals: they run on over all chunks, tables and truncates of a run (rule 14)."""
        first = self._ordinal
        self._ordinal += 2 * n
        return range(first, self._ordinal, 2)
