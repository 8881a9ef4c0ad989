"""Whole rows held by column, for steps that write very many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.columnar.arrays import data_of, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

#: A row of which every value is known.
FullRow = tuple[bytes | None, ...]

_NULL = rb"\N"


@dataclass(frozen=True, slots=True)
class ColumnRows:
    """Rows in some pieces, each piece an array of COPY text a column; null is NULL. As a collection: the rows."""

    pieces: tuple[tuple[pa.BinaryArray, ...], ...]

    def __len__(self) -> int:
        return sum(len(columns[0]) for columns in self.pieces)

    def __iter__(self) -> Iterator[FullRow]:
        for columns in self.pieces:
            yield from zip(*(column.to_pylist() for column in columns), strict=True)

    def selected(self, positions: Sequence[int]) -> ColumnRows:
        """Return the rows with only the values at these positions, in their order."""
        return ColumnRows(tuple(tuple(columns[i] for i in positions) for columns in self.pieces))

    def lines(self) -> bytes:
        """Return the rows as lines of COPY text."""
        return b"".join(_lines(columns) for columns in self.pieces)


def _lines(columns: tuple[pa.BinaryArray, ...]) -> memoryview[int]:
    pieces = [piece for column in columns[:-1] for piece in (column, b"\t")]
    return data_of(join([*pieces, columns[-1], b"\n"], null=_NULL)).data
