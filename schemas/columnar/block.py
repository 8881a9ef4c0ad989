"""A block whose rows are held by column. Row by row it is exactly a :class:`schemas.block.Block`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.block import UNSENT, Block, Op, Origin, Row
from schemas.columnar.arrays import Ints, Mask, take

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.block import Transaction
    from schemas.table import TableSchema

#: Each operation by the code of its letter, which is how columns hold it.
OPS: Final = {ord(op.value): op for op in Op}


@dataclass(frozen=True, slots=True)
class Columns:
    """Some row images by column: ``values[c]`` holds column c of all of them, in the form of its side.

    ``unsent[c]`` tells which of its nulls were not sent; None: all was sent. Images of one kind often lack the same
    columns (a delete has the key alone), so most entries are None. ``size`` is the number of images: there are tables
    without columns.
    """

    size: int
    values: tuple[pa.BinaryArray, ...]
    unsent: tuple[Mask | None, ...]

    def __len__(self) -> int:
        return self.size

    def rows(self) -> list[Row]:
        """Return the images row by row."""
        if not self.values:
            return [()] * self.size
        return list(zip(*map(_cells, self.values, self.unsent), strict=True))

    def take(self, indexes: Ints) -> Columns:
        """Return some of the images."""
        return Columns(
            len(indexes),
            tuple(take(values, indexes) for values in self.values),
            tuple(None if mask is None else mask[indexes] for mask in self.unsent),
        )


class Part(NamedTuple):
    """The rows of a block that have the same images. ``places`` are their places in the block, rising."""

    places: Ints
    before: Columns | None
    after: Columns | None

    def put(self, before: list[Row | None], after: list[Row | None]) -> None:
        """Put the images, row by row, at their places in lists of all old and all new images."""
        places = self.places.tolist()
        for images, rows in ((self.before, before), (self.after, after)):
            if images is not None:
                for place, row in zip(places, images.rows(), strict=True):
                    rows[place] = row


@dataclass(slots=True)
class ColumnBlock:
    """What Block is, as arrays of one length; each row is in one of the ``parts``, or in none if it has no image.

    ``ops`` holds the codes of the operations' letters.
    """

    table: TableSchema
    transactions: list[Transaction]
    ops: npt.NDArray[np.uint8]
    tx: Ints
    ordinals: Ints
    last: Mask
    key_change: Mask
    parts: list[Part]
    incarnation: int = 0
    run: int = 0
    origin: Origin = Origin.LOG

    def __len__(self) -> int:
        return len(self.ops)

    def to_block(self) -> Block:
        """Return the same rows one by one."""
        before: list[Row | None] = [None] * len(self)
        after: list[Row | None] = [None] * len(self)
        for part in self.parts:
            part.put(before, after)
        return Block(
            self.table, self.transactions, self.incarnation, self.run, self.origin,
            ops=[OPS[code] for code in self.ops.tolist()], tx=self.tx.tolist(), ordinals=self.ordinals.tolist(),
            before=before, after=after, last=self.last.tolist(), key_change=self.key_change.tolist(),
        )  # fmt: skip

    def take(self, indexes: Ints) -> ColumnBlock:
        """Return some of the rows, in the order of ``indexes``, which must rise."""
        new = np.full(len(self), -1, np.int64)
        new[indexes] = np.arange(len(indexes))
        return replace(
            self,
            ops=self.ops[indexes],
            tx=self.tx[indexes],
            ordinals=self.ordinals[indexes],
            last=self.last[indexes],
            key_change=self.key_change[indexes],
            parts=[part for part in (chosen(part, new) for part in self.parts) if len(part.places)],
        )

    @classmethod
    def of(cls, block: Block) -> ColumnBlock:
        """Return the same rows by column."""
        return cls(
            block.table, block.transactions,
            ops=np.array([ord(op.value) for op in block.ops], np.uint8),
            tx=np.array(block.tx, np.int64), ordinals=np.array(block.ordinals, np.int64),
            last=np.array(block.last, np.bool_), key_change=np.array(block.key_change, np.bool_),
            parts=parts_of(block.before, block.after),
            incarnation=block.incarnation, run=block.run, origin=block.origin,
        )  # fmt: skip


#: A block in either form.
AnyBlock = Block | ColumnBlock


def rows_of(block: AnyBlock) -> Block:
    """Return a block row by row."""
    return block.to_block() if isinstance(block, ColumnBlock) else block


def operations(ops: list[Op] | npt.NDArray[np.uint8]) -> dict[Op, int]:
    """Return how many rows there are of each operation, given in either form."""
    if isinstance(ops, list):
        return Counter(ops)
    counts = np.bincount(ops)
    return {OPS[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def columns(rows: list[Row]) -> Columns:
    """Return row images by column."""
    values, unsent = [], []
    for cells in zip(*rows, strict=True):
        mask = np.array([cell is UNSENT for cell in cells], np.bool_)
        values.append(pa.array([None if cell is UNSENT else cell for cell in cells], pa.binary()))
        unsent.append(mask if mask.any() else None)
    return Columns(len(rows), tuple(values), tuple(unsent))


def _cells(values: pa.BinaryArray, unsent: Mask | None) -> list[object]:
    cells: list[object] = values.to_pylist()
    if unsent is not None:
        for i in np.flatnonzero(unsent).tolist():
            cells[i] = UNSENT
    return cells


def parts_of(before: list[Row | None], after: list[Row | None]) -> list[Part]:
    """Return images, given row by row, as parts."""
    shapes = [(b is not None, a is not None) for b, a in zip(before, after, strict=True)]
    parts = []
    for shape in sorted(set(shapes) - {(False, False)}):
        places = [i for i, one in enumerate(shapes) if one == shape]
        old, new = (
            columns([rows[i] or () for i in places]) if there else None
            for there, rows in zip(shape, (before, after), strict=True)
        )
        parts.append(Part(np.array(places, np.int64), old, new))
    return parts


def chosen(part: Part, new: Ints) -> Part:
    """Return the rows of a part that stay; ``new`` gives each place its new one, -1 where the row goes."""
    places = new[part.places]
    kept = np.flatnonzero(places >= 0)
    if len(kept) == len(places):
        return Part(places, part.before, part.after)
    before, after = (None if images is None else images.take(kept) for images in (part.before, part.after))
    return Part(places[kept], before, after)
