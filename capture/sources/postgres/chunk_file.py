"""The file of a chunk's rows, read in stretches of whole lines."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Final

from capture.sources.postgres import copytext
from capture.sources.postgres.columns import copy_columns
from schemas.columnar.arrays import Unserved
from schemas.columnar.block import columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.columnar.block import Columns

#: Bytes read at a time: some thousands of ordinary rows.
_STRETCH_BYTES: Final = 2 << 20


def file_images(path: Path, width: int) -> Iterator[Columns]:
    """Yield the rows of a chunk's file, as :func:`chunk_images` does."""
    with path.open("rb", buffering=0) as file:
        yield from chunk_images(file, width)


def chunk_images(file: IO[bytes], width: int) -> Iterator[Columns]:
    """Yield the rows of a file of COPY text, ``width`` values each, some thousands at a time."""
    rest = b""
    while stretch := file.read(_STRETCH_BYTES):
        whole = stretch.rfind(b"\n") + 1
        if whole:
            yield _images(rest + stretch[:whole], width)
            rest = stretch[whole:]
        else:
            rest += stretch


def _images(lines: bytes, width: int) -> Columns:
    try:
        return copy_columns(lines, width)
    except Unserved:
        return columns(list(copytext.parse(io.BytesIO(lines))))
