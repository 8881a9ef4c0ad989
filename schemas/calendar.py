"""Days since 1970-01-01 as year, month and day, of one date or of many at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from schemas.columnar.arrays import Ints

Days = TypeVar("Days", int, "Ints")

#: Days from 0000-03-01 to 1970-01-01: years that begin in March put the leap day last.
_EPOCH_SHIFT: Final = 719_468
#: Days of 400 Gregorian years.
_ERA_DAYS: Final = 146_097


def civil(days: Days) -> tuple[Days, Days, Days]:
    """Return year, month and day in the proleptic Gregorian calendar."""
    era, day = divmod(days + _EPOCH_SHIFT, _ERA_DAYS)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day = day - (365 * year + year // 4 - year // 100)
    month = (5 * day + 2) // 153  # 0 is March
    day = day - (153 * month + 2) // 5
    return era * 400 + year + (month >= 10), (month + 2) % 12 + 1, day + 1
