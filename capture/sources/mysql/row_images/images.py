"""Row images of one table, many at a time, into columns in source form: what :mod:`rows` gives value by value. Pure.

Values of an image have no offsets, but one vector of positions, an entry for each row, walks all images at once. What
has no way over whole columns goes through the function that reads a single value, so that every type is served.
Raises Unserved for bytes that it does not understand: then the reference says what is wrong with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from capture.sources.mysql.row_images import forms, json_columns, texts
from capture.sources.mysql.row_images.stretches import Rows
from capture.sources.mysql.row_images.wire import WireType, fixed_size, length_size
from schemas.columnar.arrays import Unserved, gather, with_nulls
from schemas.columnar.block import Columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from capture.sources.mysql.row_images.forms import Form
    from capture.sources.mysql.row_images.texts import Words
    from capture.sources.mysql.row_images.wire import Wire
    from schemas.columnar.arrays import Ints, Mask


class Field(NamedTuple):
    """How a column is read: the bytes of a value or None, of its length, what makes columns, what makes one value.

    ``documents``: the values are JSON.
    """

    size: int | None
    lengths: int
    documents: bool
    whole: Callable[[Words, Ints], pa.BinaryArray] | None
    strings: Callable[[pa.BinaryArray], pa.BinaryArray] | None
    form: Form | None


def fields(wires: Sequence[Wire], columns: Sequence[ColumnMeta]) -> list[Field]:
    """Return how the columns of a table are read."""
    return [
        Field(
            fixed_size(wire),
            length_size(wire),
            wire.type is WireType.JSON,
            texts.whole(wire, meta),
            texts.strings(wire, meta),
            forms.reader(wire, meta),
        )
        for wire, meta in zip(wires, columns, strict=True)
    ]


class Read(NamedTuple):
    """Row images by column, and where each of them ends in the data."""

    images: Columns
    ends: Ints


class Images:
    """Rows, as they were split. ``starts`` and ``ends``: where the images of each lie; ``letters``: its operation."""

    def __init__(self, rows: Iterable[bytes], found: Sequence[Field]) -> None:
        stretch = (rows if isinstance(rows, Rows) else Rows(list(rows))).together()
        self._raw, self.letters, self.starts, self.ends = stretch
        self._fields = found
        self._data = np.frombuffer(self._raw, np.uint8)
        # Eight bytes from any place on, as one number: a view of the same memory, one entry for each place.
        self._words = np.ndarray((len(self._raw) - 7,), "<u8", self._raw, strides=(1,))

    def read(self, which: Ints, at: Ints) -> Read:
        """Read an image of each of these rows, from here on."""
        limits = self.ends[which]
        size = (len(self._fields) + 7) // 8
        if (at + size > limits).any():
            raise Unserved
        bits = self._data[at[:, None] + np.arange(size)]
        nulls = np.unpackbits(bits, axis=1, bitorder="little").view(np.bool_)
        at = at + size
        values = []
        for i, field in enumerate(self._fields):
            null = nulls[:, i] if nulls[:, i].any() else None
            column, at = self._column(field, at, null, limits)
            values.append(with_nulls(column, null))
        return Read(Columns(len(which), tuple(values), (None,) * len(values)), at)

    def _column(self, field: Field, at: Ints, null: Mask | None, limits: Ints) -> tuple[pa.BinaryArray, Ints]:
        if field.size is None:
            starts = at + field.lengths
            ends = starts + (self._words[at] & np.uint64((1 << 8 * field.lengths) - 1)).astype(np.int64)
        else:
            starts, ends = at, at + field.size
        if null is not None:
            starts, ends = np.where(null, at, starts), np.where(null, at, ends)
        if (ends > limits).any():
            raise Unserved
        if field.whole is not None:
            return field.whole(texts.Words(self._words, null), starts), ends
        if field.documents and field.form is not None:
            return json_columns.texts(self._raw, self._words, starts, ends, field.form), ends
        found = gather(self._raw, starts, ends)
        if field.strings is not None:
            try:
                return field.strings(found), ends
            except Unserved:
                pass
        return _one_by_one(found, field.form, null), ends


def _one_by_one(found: pa.BinaryArray, form: Form | None, null: Mask | None) -> pa.BinaryArray:
    if form is None:
        return found
    values = found.to_pylist()
    if null is None:
        return pa.array([form(value) for value in values], pa.binary())
    present = (~null).tolist()
    return pa.array([form(v) if there else b"" for v, there in zip(values, present, strict=True)], pa.binary())
