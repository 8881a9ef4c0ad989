"""What becomes of values that PostgreSQL has no place for: dates with a zero part, and U+0000 in text. Pure.

Nothing is altered unless somebody chose so; whatever is, is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class ZeroDates(Enum):
    """What a date with a zero part (0000-00-00, 2026-00-00) or of the year 0, or one that no calendar has, becomes."""

    #: It travels as it is; the target cannot read it, so its table stops there until somebody decides.
    BLOCK = "block"
    #: -infinity, the only date of PostgreSQL before all others that MySQL has.
    INFINITY = "infinity"
    #: All columns of dates and datetimes travel as text, and are text in the target.
    TEXT = "text"


class NulCharacters(Enum):
    """What U+0000 in text becomes."""

    #: It travels as it is; the target cannot take it, so its table stops there until somebody decides.
    BLOCK = "block"
    #: U+2400, the picture of it.
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices for one source, and how often each was made: ``altered`` counts by the name of the choice."""

    zero_dates: ZeroDates = ZeroDates.BLOCK
    nul_characters: NulCharacters = NulCharacters.BLOCK
    altered: Counter[str] = field(default_factory=Counter, compare=False)
