"""ferryman beside the peer's best figure and beside the limit, case by case; losses look like losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SUBJECT = "ferryman"
#: A setting of the peer that is shown beside its best one, and never counts.
NOT_ITS_BEST = "default tombstones"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many times the peer's rate; how many times less CPU time and memory; which part of the limit. None: unknown.

    Each of the peer's figures is its best one, whichever of its formats had it.
    """

    rate: float | None
    cpu: float | None
    memory: float | None
    share: float | None
    p99: float | None = None


def of(document: Document, ours: Mapping[str, Any]) -> Verdict:
    """Return the verdict on one entry of ferryman, beside the peer's entries with the same labels."""
    peers = [one for one in document["subjects"] if _is_peer(one) and _labels(one) == _labels(ours)]
    limit = document["limit"]
    latency = "p99_ms" in ours
    return Verdict(
        None if latency else _ratio(ours["rows_per_s"], max(_values(peers, "rows_per_s"), default=None)),
        _ratio(min(_values(peers, "cpu_s_per_million"), default=None), ours["cpu_s_per_million"]),
        _ratio(min(_values(peers, "peak_rss_mb"), default=None), ours["peak_rss_mb"]),
        _ratio(ours["rows_per_s"], limit["rows_per_s"]) if limit else None,
        _ratio(min(_values(peers, "p99_ms"), default=None), ours.get("p99_ms")),
    )


def entries(document: Document) -> list[dict[str, Any]]:
    """Return the entries of ferryman, one for each setting of the case."""
    return [one for one in document["subjects"] if one["name"] == SUBJECT]


def _is_peer(subject: Mapping[str, Any]) -> bool:
    return subject["name"] != SUBJECT and NOT_ITS_BEST not in subject["name"]


def _labels(subject: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(subject.get(label) for label in ("changes_per_s", "stage"))


def _values(subjects: Iterable[Mapping[str, Any]], figure: str) -> list[float]:
    return [one[figure] for one in subjects if figure in one]


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None
