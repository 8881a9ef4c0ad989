"""Rows of prepared XA transactions: they are in the log when one is prepared, and count when it is committed.

Both may be days and many rows apart, so all but the first mebibyte lies in a file without a name, which is gone with
the process: a stream resumes before the oldest prepared transaction.
"""

from __future__ import annotations

import tempfile
from struct import Struct, pack, unpack
from typing import TYPE_CHECKING, Final

from capture.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from capture.sources.mysql.changes import Reading

#: What one transaction may have in memory, in bytes.
IN_MEMORY_BYTES: Final = 1 << 20
#: Which reading, and how many rows follow; then the size of each.
_PART: Final = Struct("<II")
_SIZE_BYTES: Final = 4


class Held:
    """The rows of one transaction, in order. Every method raises SourceError when the file cannot be used."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []
        self._numbers: dict[int, int] = {}
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - close() ends it

    def add(self, reading: Reading, found: Sequence[bytes]) -> None:
        """Take in rows behind all others."""
        number = self._numbers.setdefault(id(reading), len(self._readings))
        if number == len(self._readings):
            self._readings.append(reading)
        sizes = pack(f"<{len(found)}I", *map(len, found))
        self._written(b"".join([_PART.pack(number, len(found)), sizes, *found]))

    def parts(self) -> Iterator[tuple[Reading, list[bytes]]]:
        """Yield the rows as they were added."""
        self._file.seek(0)
        while head := self._read(_PART.size):
            number, count = _PART.unpack(head)
            sizes = unpack(f"<{count}I", self._read(count * _SIZE_BYTES))
            yield self._readings[number], [self._read(size) for size in sizes]

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()

    def _written(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unusable(error) from None

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise _unusable(error) from None


def _unusable(error: OSError) -> SourceError:
    what = f"the rows of a prepared XA transaction cannot be kept in a file: {error.strerror}"
    return SourceError(what, f"make room in the folder for temporary files ({tempfile.gettempdir()}), or set TMPDIR")
