"""The stream events of a keyless table while its one chunk is read: kept in order, on disk beyond a bound (rule 9)."""

from __future__ import annotations

import pickle
import tempfile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.block import Block

#: Rows kept in memory before the rest goes to disk: some 20 MB of ordinary rows.
ROWS_IN_MEMORY = 20_000


class Aside:
    """Blocks set aside, given back in the order in which they came.

    They are lost in a crash, which is right: the chunk that is read after it sees them all.
    """

    def __init__(self, folder: Path, rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        self._folder, self._bound = folder, rows_in_memory
        self._blocks: list[Block] = []
        self._rows = 0
        self._file: BinaryIO | None = None

    def add(self, block: Block) -> None:
        """Set a block aside."""
        self._blocks.append(block)
        self._rows += len(block)
        if self._rows > self._bound:
            self._spill()

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks in order; add nothing meanwhile."""
        if self._file is not None:
            self._file.seek(0)
            while self._file.peek(1):  # type: ignore[attr-defined]
                # Written by this very process a moment ago into a file that nobody else can name.
                yield from pickle.load(self._file)  # noqa: S301
        yield from self._blocks

    def clear(self) -> None:
        """Forget everything."""
        self._blocks, self._rows = [], 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - lives as long as the load
        self._file.seek(0, 2)
        pickle.dump(self._blocks, self._file, pickle.HIGHEST_PROTOCOL)
        self._blocks, self._rows = [], 0
