"""Sets of global transaction ids, and whether one has everything that another has. Pure.

Sources: MySQL Reference Manual, "GTID Format and Storage" (tags since 8.3); MariaDB Server Documentation, "Global
Transaction ID". A MySQL set names every transaction; a MariaDB position names the last one of each domain, which stands
for everything before it in that domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Numbers of transactions as half-open intervals, in order, with a gap between any two.
Intervals = tuple[tuple[int, int], ...]

_UUID_HEX_DIGITS: Final = 32
_U64: Final = Struct("<Q").pack


@dataclass(frozen=True, slots=True)
class GtidSet:
    """A MySQL set: for each source, ``uuid`` or ``uuid:tag`` in lower case, the numbers of its transactions."""

    sources: tuple[tuple[str, Intervals], ...] = ()

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Return the set of its text form, as ``gtid_executed`` spells it; raises ValueError for any other text."""
        found: dict[str, list[tuple[int, int]]] = {}
        for part in filter(None, ("".join(text.split())).split(",")):
            uuid, *rest = part.lower().split(":")
            source = _uuid(uuid)
            for item in rest:
                if item[:1].isdigit():
                    found.setdefault(source, []).append(_interval(item))
                else:
                    source = f"{_uuid(uuid)}:{item}"
        return cls._of(found)

    @classmethod
    def _of(cls, found: dict[str, list[tuple[int, int]]]) -> GtidSet:
        merged = ((source, _merged(intervals)) for source, intervals in sorted(found.items()))
        return cls(tuple((source, intervals) for source, intervals in merged if intervals))

    def __str__(self) -> str:
        return ",".join(f"{source}:{_text(intervals)}" for source, intervals in self.sources)

    def with_(self, gtid: str) -> GtidSet:
        """Return the set with one more transaction, ``uuid:number`` or ``uuid:tag:number``."""
        source, _, number = gtid.lower().rpartition(":")
        known = dict(self.sources)
        intervals = known.get(source, ())
        if intervals and intervals[-1][1] == int(number):  # the usual case: the next one
            known[source] = (*intervals[:-1], (intervals[-1][0], int(number) + 1))
        else:
            known[source] = _merged([*intervals, (int(number), int(number) + 1)])
        return GtidSet(tuple(sorted(known.items())))

    def encoded(self) -> bytes:
        """Return the set as COM_BINLOG_DUMP_GTID takes it.

        Source: MySQL, ``sql/rpl_gtid_set.cc`` (``Gtid_set::encode``). With tags the count stands between two bytes that
        say so, and each source has its tag behind its UUID.
        """
        tagged = any(":" in source for source, _ in self.sources)
        count = len(self.sources)
        head = _U64(1 << 56 | count << 8 | 1 if tagged else count)
        return head + b"".join(_encoded(source, intervals, tagged=tagged) for source, intervals in self.sources)

    def covers(self, other: GtidSet) -> bool:
        """Whether every transaction of ``other`` is in this set."""
        mine = dict(self.sources)
        return all(_covers(mine.get(source, ()), intervals) for source, intervals in other.sources)

    def without(self, other: GtidSet) -> GtidSet:
        """Return the transactions of this set that are not in ``other``."""
        gone = dict(other.sources)
        left = ((source, _minus(intervals, gone.get(source, ()))) for source, intervals in self.sources)
        return GtidSet(tuple((source, intervals) for source, intervals in left if intervals))


@dataclass(frozen=True, slots=True)
class GtidPosition:
    """A MariaDB position: for each domain the server and sequence number of its last transaction."""

    domains: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> GtidPosition:
        """Return the position of its text form ``domain-server-sequence,...``; raises ValueError for other text."""
        found: dict[int, tuple[int, int, int]] = {}
        for part in filter(None, ("".join(text.split())).split(",")):
            domain, server, sequence = map(int, part.split("-"))
            found[domain] = max(found.get(domain, (domain, 0, -1)), (domain, server, sequence), key=lambda g: g[2])
        return cls(tuple(sorted(found.values())))

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{sequence}" for domain, server, sequence in self.domains)

    def with_(self, gtid: str) -> GtidPosition:
        """Return the position behind one more transaction, whatever its number is: the log has it now."""
        domain, server, sequence = map(int, gtid.split("-"))
        others = [known for known in self.domains if known[0] != domain]
        return GtidPosition(tuple(sorted([*others, (domain, server, sequence)])))

    def covers(self, other: GtidPosition) -> bool:
        """Whether this position has come as far as ``other`` in each of its domains."""
        mine = {domain: sequence for domain, _, sequence in self.domains}
        return all(mine.get(domain, -1) >= sequence for domain, _, sequence in other.domains)

    def without(self, other: GtidPosition) -> GtidPosition:
        """Return the domains in which this position is ahead of ``other``."""
        theirs = {domain: sequence for domain, _, sequence in other.domains}
        return GtidPosition(tuple(known for known in self.domains if known[2] > theirs.get(known[0], -1)))


def _encoded(source: str, intervals: Intervals, *, tagged: bool) -> bytes:
    uuid, _, tag = source.partition(":")
    name = bytes.fromhex(uuid.replace("-", "")) + (bytes([len(tag) << 1]) + tag.encode() if tagged else b"")
    return name + _U64(len(intervals)) + b"".join(_U64(number) for interval in intervals for number in interval)


def _uuid(text: str) -> str:
    if len(text.replace("-", "")) != _UUID_HEX_DIGITS:
        raise ValueError("a GTID set begins with a UUID")
    int(text.replace("-", ""), 16)
    return text


def _interval(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first) + 1


def _text(intervals: Intervals) -> str:
    return ":".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in intervals)


def _merged(intervals: Iterable[tuple[int, int]]) -> Intervals:
    out: list[tuple[int, int]] = []
    for first, end in sorted(intervals):
        if end <= first:
            continue
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((first, end))
    return tuple(out)


def _covers(mine: Intervals, theirs: Intervals) -> bool:
    return all(any(first <= f and e <= end for first, end in mine) for f, e in theirs)


def _minus(mine: Intervals, gone: Intervals) -> Intervals:
    return tuple(piece for interval in mine for piece in _pieces(interval, gone))


def _pieces(interval: tuple[int, int], gone: Intervals) -> Iterator[tuple[int, int]]:
    at, end = interval
    for first, last in gone:
        if last <= at or first >= end:
            continue
        if at < first:
            yield at, first
        at = max(at, last)
    if at < end:
        yield at, end
