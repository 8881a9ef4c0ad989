"""Rows of a plan -> COPY data, or parameters of a statement. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from apply.column_rows import ColumnRows
from apply.session import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from apply.column_rows import FullRow
    from apply.steps import Rows

_NULL: Final = rb"\N"
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_MEANINGS: Final = {b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


def selected(rows: Rows, positions: Sequence[int]) -> Rows:
    """Return the rows with only the values at these positions, in their order."""
    return rows.selected(positions) if isinstance(rows, ColumnRows) else picked(rows, positions)


def picked(rows: list[FullRow], positions: Sequence[int]) -> list[FullRow]:
    """Return what :func:`selected` does, of rows in a list."""
    if rows and tuple(positions) == tuple(range(len(rows[0]))):
        return rows
    return [tuple([row[i] for i in positions]) for row in rows]


def copy_lines(rows: Iterable[Sequence[bytes | None]]) -> bytes:
    """Return the rows as lines of COPY text."""
    if isinstance(rows, ColumnRows):
        return rows.lines()
    lines = [b"\t".join([_NULL if value is None else value for value in row]) for row in rows]
    return b"\n".join(lines) + b"\n" if lines else b""


def stretches(rows: Rows | Sequence[FullRow]) -> Iterator[bytes]:
    """Yield the lines of :func:`copy_lines` in stretches, as they are made."""
    if isinstance(rows, ColumnRows):
        yield from rows.stretches()
    else:
        yield copy_lines(rows)


def keyed(keys: Iterable[FullRow], values: Iterable[FullRow]) -> list[FullRow]:
    """Return rows of a key and values each."""
    return [(*key, *row) for key, row in zip(keys, values, strict=True)]


def counted(rows: Iterable[FullRow], counts: list[int]) -> list[FullRow]:
    """Return rows of a count and values each."""
    return [(b"%d" % count, *row) for count, row in zip(counts, rows, strict=True)]


def parameters(row: Sequence[bytes | None]) -> list[Text | None]:
    """Return COPY text as parameters of a statement: nothing escaped, no type given."""
    return [None if value is None else Text(plain(value)) for value in row]


def plain(value: bytes) -> bytes:
    """Return the text that COPY text stands for: the inverse of schemas.copy_text.escape."""
    if b"\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: _MEANINGS.get(found[1], found[1]), value)
