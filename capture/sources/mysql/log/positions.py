"""Where the stream stands: the resume point, and the numbers that transactions get in the order key. Pure.

A transaction's position must rise with the order in which it is published, be the same when it is read again, and
never belong to two. Places in the log cannot be it: they are a server's own, and after a failover those of the new one
mean nothing beside those of the old one. Transaction ids cannot either: they do not say which of two comes first.

So transactions are counted, all of them, also those of other tables: ``count`` is part of the resume point, and a
server's log that is read again from there gives every transaction its number again. Another server may have them in
another order behind the resume point, so the same number could name another transaction, and apply would take an event
that it has never seen for one that it has. When the server changes, the high bits, ``epoch``, rise: nothing that was
published is mistaken, but what was published since the last save is published once more. With a key that comes to the
same rows; the tables without one are lost, and copied again. The new epoch is saved before anything carries it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from capture.sources.mysql.log.coordinates import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.sources.mysql.log.gtid import GtidPosition, GtidSet

#: Of the 64 bits of a position, those that count; 16 are left for the epoch.
_COUNT_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Standing:
    """Behind the last transaction that was read to its end.

    ``place`` is its end in the server's own log; None when only the ids are known, right after the server changed.
    ``gtids`` are all transactions before it, empty where there are no ids. ``born`` is when the file of the log
    was begun, in seconds, 0 while it is not known: a log that was reset has files of the same names.
    """

    place: Place | None
    gtids: GtidSet | GtidPosition
    count: int = 0
    epoch: int = 0
    born: int = 0

    @classmethod
    def load(cls, saved: dict[str, Any], parse: Callable[[str], GtidSet | GtidPosition]) -> Standing:
        """Return what :meth:`dump` wrote; ``parse`` reads the ids of this kind of server."""
        place = Place.load(saved["place"]) if saved["place"] else None
        return cls(place, parse(str(saved["gtids"])), int(saved["count"]), int(saved["epoch"]), int(saved["born"]))

    def dump(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "place": self.place.dump() if self.place else None,
            "gtids": str(self.gtids),
            "count": self.count,
            "epoch": self.epoch,
            "born": self.born,
        }

    def elsewhere(self) -> Standing:
        """Return it for another server, which has all that came before under places of its own."""
        return replace(self, place=None, epoch=self.epoch + 1, born=0)

    @property
    def position(self) -> int:
        """The position of the transaction that ended here."""
        return self.epoch << _COUNT_BITS | self.count

    @property
    def next_position(self) -> int:
        """The position of the transaction that comes next."""
        return self.position + 1

    def behind(self, gtid: str) -> Standing:
        """Return it behind one more transaction, of this id if it has one."""
        gtids = self.gtids.with_(gtid) if gtid else self.gtids
        return Standing(self.place, gtids, self.count + 1, self.epoch, self.born)

    def at(self, place: Place) -> Standing:
        """Return it with another place."""
        return Standing(place, self.gtids, self.count, self.epoch, self.born)
