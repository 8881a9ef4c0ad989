"""Which transactions a snapshot saw: rules 3 and 4 of the chunk merge. Pure.

Source: PostgreSQL documentation, "Transaction ID and Snapshot Information Functions" (pg_snapshot, xid8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.block import Transaction

_XIDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``pg_current_snapshot()``: everything below ``xmin`` was over, nothing from ``xmax`` on had begun.

    ``running`` are those between that were not over. All are 64-bit, with the epoch in the high half.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Return the snapshot of its text form ``xmin:xmax:xip,xip``."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, running.split(",")))))

    def includes(self, transaction: Transaction) -> bool:
        """Whether the snapshot saw this transaction's effects; its id is the 32-bit xid of the log."""
        return self._sees(self._widened(int(transaction.id)))

    def after(self, fence: dict[str, Any]) -> bool:
        """Whether every transaction that ran when the fence was taken is over and was seen.

        The fence's own ``xid`` must be, so that the snapshot is younger, and those that were ``running`` in the
        database then (32-bit xids). What runs in other databases of the cluster cannot have touched our tables.
        """
        return self._sees(int(fence["xid"])) and all(self._sees(self._widened(xid)) for xid in fence["running"])

    def _sees(self, xid: int) -> bool:
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)

    def _widened(self, xid: int) -> int:
        """Return the 64-bit xid nearest to the snapshot: no two live transactions are 2^31 apart."""
        ahead = (xid - self.xmax) % _XIDS
        return self.xmax + (ahead if ahead < _XIDS // 2 else ahead - _XIDS)
