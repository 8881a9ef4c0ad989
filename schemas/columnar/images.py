"""Row images by column -> the pieces of their Avro bytes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.avro import column_branch, field_names, row_fields
from schemas.binary import MISFIT, write_long, writer, writers
from schemas.columnar.arrays import Mask, Unserved, constants, take
from schemas.columnar.typed import Written
from schemas.columnar.write import Branch, write
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.binary import Writer
    from schemas.columnar.block import Columns
    from schemas.columnar.typed import Typed
    from schemas.table import TableSchema

    #: Makes typed values of a column in source form; raises Unserved when one of them takes the row-wise converter.
    Kernel = Callable[[pa.BinaryArray], Typed]
    Converter = Callable[[bytes], object]

Pieces = list[pa.BinaryArray | bytes]

_NULL: Final = b"\x00"
_BRANCH_1: Final = b"\x02"
#: Keys are no unions.
_BARE: Final = Branch(b"", b"")


class _Column(NamedTuple):
    kernel: Kernel
    convert: Converter
    write: Writer
    branch: Branch


class Image(NamedTuple):
    """Row images, written: the pieces of the rows, of the lists of columns not sent, and typed columns for keys.

    ``odd`` are rows with values that only the reference can write: their bytes here are of no meaning.
    """

    pieces: Pieces
    unavailable: pa.BinaryArray | bytes
    typed: list[Typed]
    odd: Mask


class ImageWriter:
    """Writes the row images of one table version."""

    def __init__(
        self,
        table: TableSchema,
        envelope: dict[str, Any],
        converters: Sequence[Converter],
        kernels: Sequence[Kernel],
    ) -> None:
        branches = [column_branch(field) for field in row_fields(envelope)]
        self._columns = [
            _Column(kernel, convert, write_value, Branch(write_long(1 - null), write_long(null)))
            for kernel, convert, write_value, (_, null) in zip(
                kernels, converters, writers([avro for avro, _ in branches]), branches, strict=True
            )
        ]
        self._names = field_names(table)
        self._list_of = lru_cache(256)(self._write_unavailable)

    def write(self, images: Columns) -> Image:
        """Return images, written; raises Unserved when the reference must write, or refuse, all of them."""
        odd = np.zeros(len(images), np.bool_)
        pieces: Pieces = [_BRANCH_1]
        typed = []
        for column, values in zip(self._columns, images.values, strict=True):
            one = _typed(column, values, odd)
            typed.append(one)
            pieces += write(one, column.branch)
        return Image(pieces, self._unavailable(images), typed, odd)

    def keys(self, image: Image, columns: Sequence[int]) -> Pieces:
        """Return the pieces of keys made of these columns."""
        return [piece for i in columns for piece in write(image.typed[i], _BARE)]

    def _unavailable(self, images: Columns) -> pa.BinaryArray | bytes:
        """Return the list of the columns that were not sent, for each row or for all."""
        holes = [(i, mask) for i, mask in enumerate(images.unsent) if mask is not None]
        if not holes:
            return _NULL
        places = [i for i, _ in holes]
        matrix = np.stack([mask for _, mask in holes], axis=1)
        if (matrix == matrix[0]).all():
            return self._list_of(tuple(np.array(places)[matrix[0]].tolist()))
        patterns, which = np.unique(matrix, axis=0, return_inverse=True)
        lists = [self._list_of(tuple(np.array(places)[pattern].tolist())) for pattern in patterns]
        return take(constants(lists), which.reshape(-1))

    def _write_unavailable(self, columns: tuple[int, ...]) -> bytes:
        return _BRANCH_1 + _write_names([self._names[i] for i in columns]) if columns else _NULL


def _typed(column: _Column, values: pa.BinaryArray, odd: Mask) -> Typed:
    try:
        return column.kernel(values)
    except Unserved:
        return _one_by_one(column, values, odd)


def _one_by_one(column: _Column, values: pa.BinaryArray, odd: Mask) -> Typed:
    """Convert and write each value as the reference does, and mark the rows whose values travel verbatim."""
    out: list[bytes | None] = []
    try:
        for i, text in enumerate(values.to_pylist()):
            value = None if text is None else column.convert(text)
            if type(value) is Verbatim:
                odd[i] = True
                value = None
            out.append(None if value is None else column.write(value))
    except MISFIT as error:
        raise Unserved from error
    return Written(pa.array(out, pa.binary()))


_write_names = writer({"type": "array", "items": "string"})
