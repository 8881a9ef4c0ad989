"""Tells differences from changes that are on their way: rounds of reading source, target, source. Pure.

A round reads the ids in doubt at the source, waits until everything committed before that is in the target, reads the
target, and reads the source again. The target then shows the source's state at some moment between the two readings:

- it equals any state that the source was seen in meanwhile: the id is in order;
- the id is a unique key, the source has its row, and the row was not written meanwhile (same version): the id differs;
- the source's rows are the same versions in both readings, or there are none. That proves less, because rows may have
  come and gone between them. But such rows would be gone from the target in the next round, for their deletion came
  before that round's wait: if the target then has the very versions of this round, the id differs;
- otherwise another round must tell.

A source that shows no versions of its rows (MySQL) proves by the target alone: a row of the target that was not written
since before a round began, and is no state of the source seen in that round, differs. What is absent there has no
version to tell, so it must be absent in several rounds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from operate.validate.compare import ABSENT, Finding, Id, Seen, Sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Rounds in which a row must be absent where no version can tell that it was not there in between.
_ABSENT_ROUNDS: Final = 3


@dataclass(slots=True)
class Doubts:
    """The ids in doubt of one batch. Feed rounds until :attr:`pending` is empty or patience ends.

    ``pending`` holds, by id, the target's version in the last round if the source held still in it. ``unique``: an id
    has one row at most at the source. ``versioned``: its rows have versions that change when they are written.
    """

    pending: dict[Id, str | None]
    unique: bool
    versioned: bool = True
    findings: list[Finding] = field(default_factory=list)
    _seen: dict[Id, set[Sum]] = field(default_factory=dict)
    _first: dict[Id, Seen] = field(default_factory=dict)
    _absent: Counter[Id] = field(default_factory=Counter)

    @classmethod
    def about(cls, ids: Iterable[Id], *, unique: bool, versioned: bool = True) -> Doubts:
        """Begin with these ids."""
        return cls(dict.fromkeys(ids), unique, versioned)

    def begin(self, source: Mapping[Id, Seen]) -> None:
        """Begin a round with a reading of the source."""
        self._first = {one: source.get(one, ABSENT) for one in self.pending}
        self._seen = {one: {seen.sum} for one, seen in self._first.items()}

    def sample(self, source: Mapping[Id, Seen]) -> None:
        """Take in another reading of the source, made while waiting: rows that change all the time are met so."""
        for one, states in self._seen.items():
            states.add(source.get(one, ABSENT).sum)

    def end(self, target: Mapping[Id, Seen], source: Mapping[Id, Seen], *, waited: bool) -> None:
        """End a round with a reading of the target and then one of the source.

        Without having ``waited`` for what was on its way, the findings are as good as the moment, and none is in doubt.
        """
        self.sample(source)
        for one in list(self.pending):
            there, last = target.get(one, ABSENT), source.get(one, ABSENT)
            if there.sum in self._seen[one]:
                del self.pending[one]
            elif not waited or self._proven(one, there, last):
                del self.pending[one]
                self.findings.append(Finding(one, last.sum, there.sum))
            else:
                self.pending[one] = there.version if last == self._first[one] else None

    def _proven(self, one: Id, there: Seen, last: Seen) -> bool:
        if last != self._first[one]:
            return False
        if self.versioned and self.unique and last != ABSENT:
            return True
        if self.pending[one] != there.version:
            self._absent[one] = 0
            return False
        self._absent[one] += 1
        return self.versioned or there != ABSENT or self._absent[one] >= _ABSENT_ROUNDS
