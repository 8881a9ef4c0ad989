"""Which rows of a chunk are published as they were read, and what becomes of the others. Pure.

Rule numbers refer to docs/snapshot-merge.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from capture.source import key_text

if TYPE_CHECKING:
    from capture.snapshot.overlay import Overlay
    from capture.snapshot.track import Key
    from schemas.block import Row
    from schemas.columnar.block import Columns
    from schemas.table import TableSchema


def settle(schema: TableSchema, images: Columns, overlay: Overlay, todo: set[Key]) -> tuple[Columns, list[Row | None]]:
    """Return the rows that nothing touched since they were read, and the others as they must be published (rule 6).

    What is published whole need not be read again: it is taken out of ``todo`` (rule 7).
    """
    if overlay.wiped:
        return images.take(np.zeros(0, np.int64)), []
    if not overlay.touched and not todo:
        return images, []
    keys = _keys(schema, images)
    concerned = np.array([key in overlay.touched or key in todo for key in keys], np.bool_)
    if not concerned.any():
        return images, []
    settled: list[Row | None] = []
    places = np.flatnonzero(concerned)
    for place, row in zip(places.tolist(), images.take(places).rows(), strict=True):
        published = overlay.row(keys[place], row)
        if published is not None:
            todo.discard(key_text(schema, published))
            settled.append(published)
    return images.take(np.flatnonzero(~concerned)), settled


def _keys(schema: TableSchema, images: Columns) -> list[Key]:
    columns = [[text.decode() for text in images.values[i].to_pylist()] for i in schema.key]
    return list(zip(*columns, strict=True))
