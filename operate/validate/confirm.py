"""Tells differences from changes that are on their way: rounds of reading source, target, source. Pure.

A round reads the ids in doubt at the source, waits until everything committed before that is in the target, reads the
target, and reads the source again. The target then shows the source's state at some moment between the two readings:

- it equals any state that the source was seen in meanwhile: the id is in order;
- the source's rows were not written meanwhile (same version), and the target differs: the id differs, exactly;
- the source has no such rows in either reading, which proves less, because rows may have come and gone between them:
  the id differs if in the round before, too, the source had none and the target the very same version of its rows.
  Rows that were deleted at the source before this round's wait are gone from the target, or written anew, after it;
- otherwise another round must tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from operate.validate.compare import ABSENT, Finding, Id, Seen, Sum

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(slots=True)
class Doubts:
    """The ids in doubt of one batch. Feed rounds until :attr:`pending` is empty or patience ends."""

    pending: dict[Id, str | None]
    findings: list[Finding] = field(default_factory=list)
    _seen: dict[Id, set[Sum]] = field(default_factory=dict)
    _first: dict[Id, Seen] = field(default_factory=dict)

    @classmethod
    def about(cls, ids: Iterable[Id]) -> Doubts:
        """Begin with these ids."""
        return cls(dict.fromkeys(ids))

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
            elif self._proven(one, there, last) or not waited:
                del self.pending[one]
                self.findings.append(Finding(one, last.sum, there.sum))
            else:
                self.pending[one] = there.version if last == ABSENT == self._first[one] else None

    def _proven(self, one: Id, there: Seen, last: Seen) -> bool:
        if last != self._first[one]:
            return False
        return last != ABSENT or self.pending[one] == there.version
