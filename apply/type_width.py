"""Which changes of a column's type at the target keep every value. Pure; knows PostgreSQL's own types only."""

from __future__ import annotations

from typing import Final

from runtime.type_names import TypeName

_INTEGERS: Final = {"smallint": 5, "integer": 10, "bigint": 19}
_LENGTHS: Final = frozenset({"character varying", "bit varying"})
_PRECISIONS: Final = frozenset(
    {
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "time with time zone",
        "interval",
    }
)
#: Fractional digits of seconds when none are given.
_MICROSECONDS: Final = 6


def widens(current: TypeName, wanted: TypeName) -> bool:
    """Whether ``wanted`` is another type that holds every value of ``current`` unchanged."""
    if current == wanted:
        return False
    if current.base in _INTEGERS:
        return _widens_integer(_INTEGERS[current.base], wanted)
    if current.base == "real":
        return wanted.base == "double precision"
    if current.base == "character varying" and wanted == TypeName("text"):
        return True
    return current.base == wanted.base and _wider(current, wanted)


def _widens_integer(digits: int, wanted: TypeName) -> bool:
    if wanted.base == "numeric":
        precision, scale = (*wanted.modifiers, 0)[:2] if wanted.modifiers else (digits, 0)
        return precision - scale >= digits and scale >= 0
    return _INTEGERS.get(wanted.base, 0) > digits


def _wider(current: TypeName, wanted: TypeName) -> bool:
    old, new = current.modifiers, wanted.modifiers
    if current.base == "numeric":
        if not old or not new:
            return not new
        (old_precision, old_scale), (new_precision, new_scale) = (*old, 0)[:2], (*new, 0)[:2]
        return new_scale >= old_scale and new_precision - new_scale >= old_precision - old_scale
    if current.base in _LENGTHS:
        return not new or (bool(old) and new >= old)
    if current.base in _PRECISIONS:
        return (new or (_MICROSECONDS,)) > (old or (_MICROSECONDS,))
    return False
