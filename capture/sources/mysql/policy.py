"""What becomes of values that PostgreSQL has no place for: dates that no calendar has, and U+0000 in text. Pure.

By default they travel as they are, and the target refuses them: its table stops until somebody decides. Nothing is
altered unless somebody chose so, and whatever is, is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: The names of the settings, by which altered values are counted.
ZERO_DATES, NUL_CHARACTERS = "zero_dates", "nul_characters"


def _uncounted(_setting: str) -> None:
    """Count nothing: values are altered in tests and comparisons too."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The choices for one source.

    ``infinity``: dates with a zero part, of the year 0, or with a day that their month has not, become -infinity, which
    is before every date that MySQL has. ``symbol``: U+0000 becomes U+2400, the picture of it. ``altered`` is told the
    setting by which a value was altered.
    """

    infinity: bool = False
    symbol: bool = False
    altered: Callable[[str], None] = _uncounted
