"""What is known of each table, by oid, as JSON for the resume point. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def dumped(
    now: Mapping[int, T], before: Mapping[int, T], written: Mapping[str, Any], write: Callable[[T], Any]
) -> dict[str, Any]:
    """Return ``now`` as JSON; only what is not as ``before``, of which ``written`` was made, is written anew.

    Tables come one after another, so to write all of them each time would cost more the more there are.
    """
    return {
        str(oid): written[str(oid)] if oid in before and _same(before[oid], one) else write(one)
        for oid, one in now.items()
    }


def _same(one: object, other: object) -> bool:
    return one is other or one == other  # to compare what is the same object costs as much as what is not
