"""How a table is cut into chunks: ranges of pages, for each leaf that holds rows. Pure.

A plan is JSON: ``{"leaves": [[oid, filenode, pages per chunk, chunks], ...], "whole": bool}``. Chunk numbers run on
over the leaves. A range of pages means something only while the leaf lies in the file it was planned for (rule 2), and
a plan only while the table has the same leaves. ``whole``: one chunk takes everything (a table without a key, rule 9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation that holds rows of a table: the table itself, or one of its partitions.

    ``pages`` of its main file, ``size`` in bytes with everything stored out of line, ``rows`` as last estimated.
    """

    oid: int
    namespace: str
    name: str
    filenode: int
    pages: int
    size: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Range:
    """The pages ``first`` to ``last`` (not included; None: to the end) of a leaf; ``leaf`` None: the whole table."""

    leaf: Leaf | None
    first: int = 0
    last: int | None = None


def cut(leaves: Sequence[Leaf], *, whole: bool, chunk_rows: int, chunk_bytes: int) -> tuple[dict[str, Any], int]:
    """Return the plan and the number of its chunks."""
    planned = []
    for leaf in leaves:
        step = _pages_per_chunk(leaf, chunk_rows, chunk_bytes)
        planned.append([leaf.oid, leaf.filenode, step, max(1, -(-leaf.pages // step))])
    return {"leaves": planned, "whole": whole}, 1 if whole else sum(leaf[3] for leaf in planned)


def estimated_rows(leaves: Sequence[Leaf]) -> int | None:
    """Return how many rows the statistics expect; None when a leaf was never analyzed."""
    rows = [leaf.rows for leaf in leaves]
    return None if None in rows else sum(r for r in rows if r is not None)


def range_of(plan: dict[str, Any], index: int, leaves: Sequence[Leaf]) -> Range | None:
    """Return what chunk ``index`` covers of the leaves as they are now; None when the plan no longer holds."""
    if plan["whole"]:
        return Range(None)
    now = {leaf.oid: leaf for leaf in leaves}
    if set(now) != {oid for oid, _, _, _ in plan["leaves"]}:
        return None
    for oid, filenode, step, chunks in plan["leaves"]:
        if index < chunks:
            leaf = now[oid]
            last = None if index == chunks - 1 else (index + 1) * step
            return Range(leaf, index * step, last) if leaf.filenode == filenode else None
        index -= chunks
    return None


def _pages_per_chunk(leaf: Leaf, chunk_rows: int, chunk_bytes: int) -> int:
    if leaf.pages == 0:
        return 1
    by_size = chunk_bytes * leaf.pages // max(leaf.size, PAGE_BYTES)
    by_rows = chunk_rows * leaf.pages // leaf.rows if leaf.rows else by_size
    return max(1, min(by_size, by_rows))
