"""Blocks by column -> messages: the same bytes as :class:`schemas.codec_encode.BlockEncoder` gives.

What that does row by row and this cannot (verbatim values, key changes, truncates, keys that were not sent) goes
through it: single rows of a block, or the whole block when there are many of them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.avro import envelope_schema, key_schema
from schemas.block import Op
from schemas.codec_encode import BlockEncoder
from schemas.columnar.arrays import Ints, Mask, Unserved, concatenate, join, nulls_of, take_or_null
from schemas.columnar.block import ColumnBlock, rows_of
from schemas.columnar.envelope import Stamps
from schemas.columnar.images import Image, ImageWriter, Pieces
from schemas.columnar.messages import FewMessages, Messages
from schemas.errors import ContractError
from schemas.source_block import SourceWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.columnar.block import AnyBlock, Columns, Part
    from schemas.columnar.images import Converter, Kernel
    from schemas.columnar.messages import AnyMessages
    from schemas.key_encode import Register
    from schemas.table import TableSchema

#: Smaller blocks are done sooner row by row: a block by column costs some milliseconds before its first row. Measured:
#: rows of a chunk are equal at 150, changes of every kind at 350.
FEWEST: Final = 300
#: Beyond this share of rows for the row-wise encoder, it takes the whole block.
MANY: Final = 0.25

_NULL: Final = b"\x00"
_DELETE, _TRUNCATE = ord(Op.DELETE.value), ord(Op.TRUNCATE.value)
#: The lists of verbatim values, after and before, both empty: ends every event written here.
_NO_VERBATIM: Final = _NULL + _NULL


class _Written(NamedTuple):
    """The keys and values of one part's rows, and which of them the row-wise encoder must write instead."""

    places: Ints
    keys: pa.BinaryArray
    values: pa.BinaryArray
    odd: Mask


class ColumnEncoder:
    """Writes the blocks of one table version as messages.

    The arguments are those of BlockEncoder, and a kernel for each column. ``reference_rows`` counts the rows that were
    not served in columns; blocks of less than ``fewest`` rows never are. One encoder serves one thread.
    """

    def __init__(
        self,
        table: TableSchema,
        topic: str,
        prefix: str,
        converters: Sequence[Converter],
        kernels: Sequence[Kernel],
        register: Register,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self.reference_rows = 0
        self.fewest = FEWEST
        self._table, self._clock = table, now_us
        self._now_us = 0
        self._reference = BlockEncoder(table, topic, prefix, converters, register, lambda: self._now_us)
        envelope, key = envelope_schema(table, topic), key_schema(table, topic)
        self._frame = register(f"{topic}-value", envelope)
        self._key_frame = b"" if key is None else register(f"{topic}-key", key)
        self._images = ImageWriter(table, envelope, converters, kernels)
        self._source = SourceWriter(table, prefix)

    def encode(self, block: AnyBlock) -> AnyMessages:
        """Return the messages of a block, in order; raises ContractError for a value that its column cannot hold."""
        if block.table != self._table:
            raise ContractError(f"a block of another version of {self._table.name!r} than its encoder's")
        self._now_us = self._clock()
        if len(block) >= self.fewest and self._table.columns:
            try:
                return self._columnar(block if isinstance(block, ColumnBlock) else ColumnBlock.of(block))
            except Unserved:
                pass
        self.reference_rows += len(block)
        return FewMessages(self._reference.encode(rows_of(block)))

    def _columnar(self, block: ColumnBlock) -> Messages:
        sources = [self._source.write(transaction, block.origin) for transaction in block.transactions]
        stamps = Stamps(block, sources, self._now_us)
        parts = [self._part(block, part, stamps) for part in block.parts]
        odd = np.ones(len(block), np.bool_)  # a row without images is in no part
        for part in parts:
            odd[part.places] = part.odd
        odd |= block.key_change
        if np.count_nonzero(odd) > MANY * len(block):
            raise Unserved
        tombstones = (block.ops == _DELETE) & bool(self._table.key)
        if len(parts) == 1 and not odd.any() and not tombstones.any():
            return Messages(parts[0].keys, parts[0].values)
        return self._merged(block, parts, odd, tombstones)

    def _part(self, block: ColumnBlock, part: Part, stamps: Stamps) -> _Written:
        """Write the rows that have the same images. A delete has the old one alone, everything else the new one."""
        old = None if part.before is None else self._images.write(part.before)
        new = None if part.after is None else self._images.write(part.after)
        lists = [_unavailable(new), _unavailable(old), _NO_VERBATIM]
        if all(isinstance(piece, bytes) for piece in lists):
            stamped = stamps.write(part.places, b"".join(lists))
        else:
            stamped = [*stamps.write(part.places), *lists]
        values = join([self._frame, *_row(old), *_row(new), *stamped])
        ops = block.ops[part.places]
        odd = (ops == _TRUNCATE) | ((ops == _DELETE) != (new is None))
        for image in (old, new):
            if image is not None:
                odd |= image.odd
        keys, keyless = self._keys(old, part.before) if new is None else self._keys(new, part.after)
        return _Written(part.places, keys, values, odd | keyless)

    def _keys(self, image: Image | None, columns: Columns | None) -> tuple[pa.BinaryArray, Mask]:
        """Return the keys of row images, and which of them lack a value of their key."""
        if image is None or columns is None:
            raise AssertionError("a part has an image")
        lacking = np.zeros(len(columns), np.bool_)
        if self._table.keyless:
            return pa.nulls(len(columns), pa.binary()), lacking
        for i in self._table.key:
            null = nulls_of(columns.values[i])
            if null is not None:
                lacking |= null
        return join([self._key_frame, *self._images.keys(image, self._table.key)]), lacking

    def _merged(self, block: ColumnBlock, parts: list[_Written], odd: Mask, tombstones: Mask) -> Messages:
        """Return the messages of all rows in order: those of the parts, tombstones, and the odd rows' between them."""
        several = block.key_change & (block.ops != _DELETE) & (block.ops != _TRUNCATE)
        counts = 1 + tombstones + 2 * several
        places = np.cumsum(counts) - counts
        values = np.full(int(counts.sum()), -1, np.int64)
        made = 0
        for part in parts:
            values[places[part.places]] = np.arange(made, made + len(part.places))
            made += len(part.places)
        keys = values.copy()
        keys[places[tombstones] + 1] = keys[places[tombstones]]
        rest = self._odd(block, np.flatnonzero(odd))
        of_rest = _ranges(places[odd], counts[odd])
        keys[of_rest] = values[of_rest] = np.arange(made, made + len(rest))
        return Messages(
            take_or_null(concatenate([*(part.keys for part in parts), rest.keys]), keys),
            take_or_null(concatenate([*(part.values for part in parts), rest.values]), values),
            {int(of_rest[i]): headers for i, headers in rest.headers.items()},
        )

    def _odd(self, block: ColumnBlock, indexes: Ints) -> Messages:
        self.reference_rows += len(indexes)
        return Messages.of(self._reference.encode(block.take(indexes).to_block()) if len(indexes) else [])


def _row(image: Image | None) -> Pieces:
    return [_NULL] if image is None else image.pieces


def _unavailable(image: Image | None) -> pa.BinaryArray | bytes:
    return _NULL if image is None else image.unavailable


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the numbers from ``starts[i]`` on, ``counts[i]`` of them, for each i."""
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(starts - ends + counts, counts)
