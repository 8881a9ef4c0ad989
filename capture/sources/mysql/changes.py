"""Runs of the stream's rows -> blocks: by column where there are many rows, else row by row. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from capture.sources.mysql.row_images import cutting, rows, splitting
from capture.sources.mysql.row_images.images import Images, fields
from schemas.block import Block, Op
from schemas.columnar.arrays import Unserved
from schemas.columnar.block import ColumnBlock, Part
from schemas.columnar.encode import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capture.runs import Run
    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from capture.sources.mysql.row_images.cutting import Cut
    from capture.sources.mysql.row_images.images import Field
    from capture.sources.mysql.row_images.rows import Change, RowEvent
    from capture.sources.mysql.row_images.table_map import TableMap
    from schemas.columnar.arrays import Ints, Mask
    from schemas.columnar.block import Columns
    from schemas.table import TableSchema

#: A TRUNCATE among the rows: its letter, and no image.
TRUNCATE: Final = Op.TRUNCATE.value.encode()
_CREATE, _UPDATE, _DELETE = (ord(op.value) for op in (Op.CREATE, Op.UPDATE, Op.DELETE))


@dataclass(frozen=True, slots=True)
class Reading:
    """A table version of the stream: how its row events are split, and its rows read. Equal ones read alike.

    ``cut`` splits many events at once, ``least`` is the smallest size of an image in bytes.
    """

    name: str
    schema: TableSchema
    table: TableMap | None
    columns: tuple[ColumnMeta, ...]
    split: Callable[[RowEvent], list[bytes]] = field(compare=False)
    cut: Callable[[Sequence[RowEvent]], list[Cut]] = field(compare=False)
    least: int = field(compare=False)
    read: Callable[[bytes], Change] = field(compare=False)
    fields: Sequence[Field] = field(compare=False)

    @classmethod
    def of(cls, name: str, schema: TableSchema, table: TableMap, columns: tuple[ColumnMeta, ...]) -> Reading:
        """Return how the rows of a table are read; ``columns`` are those of its map, refined by the catalog."""
        return cls(
            name, schema, table, columns,
            splitting.splitter(table.wires), cutting.cutter(table.wires), cutting.least_size(table),
            rows.row_reader(table, columns), fields(table.wires, columns),
        )  # fmt: skip

    @classmethod
    def without_rows(cls, name: str, schema: TableSchema) -> Reading:
        """Return what stands for a version of which the log has no row: it can be truncated only."""
        return cls(name, schema, None, (), _no_rows, cutting.cutter(()), 1, _truncation, ())


def _no_rows(_event: RowEvent) -> list[bytes]:
    raise rows.RowsError("a row event without a table map")


def _truncation(row: bytes) -> Change:
    if row != TRUNCATE:
        raise rows.RowsError("a row without a table map")
    return rows.Change(None, None)


def block_of(run: Run[Reading, bytes], fewest: int = FEWEST) -> Block | ColumnBlock:
    """Return the rows of a run as a block, by column from ``fewest`` rows on.

    Raises RowsError and UnreadableValue for a row that cannot be read.
    """
    if len(run) >= fewest and run.version.fields:
        try:
            return _by_column(run)
        except Unserved:
            pass
    return _by_row(run)


def _by_row(run: Run[Reading, bytes]) -> Block:
    version = run.version
    changes = [version.read(row) if row != TRUNCATE else _truncation(row) for row in run.rows]
    key = version.schema.key
    return Block(
        version.schema, run.transactions,
        ops=[Op(chr(row[0])) for row in run.rows], tx=run.tx().tolist(), ordinals=run.ordinals().tolist(),
        before=[c.before for c in changes], after=[c.after for c in changes], last=run.last().tolist(),
        key_change=[_key_changed(key, c) for c in changes],
    )  # fmt: skip


def _key_changed(key: tuple[int, ...], change: Change) -> bool:
    before, after = change
    return before is not None and after is not None and any(before[i] != after[i] for i in key)


def _by_column(run: Run[Reading, bytes]) -> ColumnBlock:
    version = run.version
    images = Images(run.rows, version.fields)
    letters = images.letters
    key_change = np.zeros(len(run), np.bool_)
    parts = []
    for letter in (_CREATE, _UPDATE, _DELETE):
        places = np.flatnonzero(letters == letter)
        if len(places):
            part = _part(images, places, letter)
            if part.before is not None and part.after is not None:
                key_change[places] = _keys_changed(version.schema.key, part.before, part.after)
            parts.append(part)
    return ColumnBlock(
        version.schema, run.transactions, letters, run.tx(), run.ordinals(), run.last(), key_change, parts
    )


def _part(images: Images, places: Ints, letter: int) -> Part:
    first = images.read(places, images.starts[places])
    second = images.read(places, first.ends) if letter == _UPDATE else None
    if ((first if second is None else second).ends != images.ends[places]).any():
        raise Unserved
    if letter == _CREATE:
        return Part(places, None, first.images)
    return Part(places, first.images, None if second is None else second.images)


def _keys_changed(key: tuple[int, ...], before: Columns, after: Columns) -> Mask:
    """Return where a key column differs; keys have no nulls."""
    changed = np.zeros(len(after), np.bool_)
    for i in key:
        differs = pc.not_equal(before.values[i], after.values[i])
        if differs.null_count:
            raise Unserved
        changed |= differs.to_numpy(zero_copy_only=False)
    return changed
