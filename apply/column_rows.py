"""Whole rows held by column, for steps that write very many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.columnar.arrays import data_of, lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

#: A row of which every value is known.
FullRow = tuple[bytes | None, ...]

_NULL = rb"\N"
#: Half a megabyte of ordinary rows: so much and more lies in the buffers of a connection, and in the processor's cache.
_STRETCH_ROWS: Final = 3_000


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
        return b"".join(self.stretches())

    def stretches(self) -> Iterator[bytes]:
        """Yield the lines in stretches of some thousands of rows: one is written while the next is made."""
        for columns in self.pieces:
            for at in range(0, len(columns[0]), _STRETCH_ROWS):
                stretch = [column.slice(at, _STRETCH_ROWS) for column in columns]
                yield data_of(lines(stretch, b"\t", b"\n", null=_NULL)).tobytes()
