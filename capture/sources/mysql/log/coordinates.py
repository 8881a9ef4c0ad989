"""A place in a server's own binary log: file and offset. Pure.

Places of one server compare in the order in which it wrote them; places of two servers mean nothing to each other. All
visibility is told by them, because a server's snapshot, its stream and its status speak of the same log.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

#: Every file begins with a magic number of four bytes; the first event stands behind it.
FIRST: Final = 4


class Place(NamedTuple):
    """An offset in bytes in a file of the log; ``number`` is the file's own, which rises with every new one.

    Compares in the order of the log.
    """

    number: int
    offset: int
    file: str

    @classmethod
    def of(cls, file: str, offset: int) -> Place:
        """Return the place in a file such as ``binlog.000042``; raises ValueError for a name without a number."""
        return cls(int(file.rpartition(".")[2]), offset, file)

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Place:
        """Return the place that :meth:`dump` wrote."""
        return cls.of(str(saved["file"]), int(saved["offset"]))

    def dump(self) -> dict[str, Any]:
        """Return the place as JSON."""
        return {"file": self.file, "offset": self.offset}

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"
