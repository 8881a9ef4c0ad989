"""Whether a server is still the one whose log we read, as far as we read it. Pure.

Source: PostgreSQL documentation, "Continuous Archiving", timelines; the format of timeline history files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.sources.postgres import lsn

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = {
    "system_id": "this is another database cluster (system identifier)",
    "dbname": "this is another database",
    "slot": "this is another slot",
    "publication": "the publication was dropped and created again",
}


def difference(
    saved: dict[str, Any], now: dict[str, Any], at: int, timeline_history: Callable[[int], str]
) -> str | None:
    """Return why the saved identity's log up to ``at`` is not this server's; None when it is.

    A promoted standby begins a new timeline, which shares its parent's log up to the place where it left it: a
    failover that happened behind ``at`` loses nothing. ``timeline_history`` gives the history file of a timeline.
    """
    for name, reason in _NAMES.items():
        if saved.get(name) != now[name]:
            return reason
    if saved["timeline"] == now["timeline"]:
        return None
    left = switch_points(timeline_history(now["timeline"])).get(saved["timeline"])
    if left is None:
        return f"timeline {now['timeline']} does not come from timeline {saved['timeline']}"
    if left < at:
        return f"timeline {saved['timeline']} was left at {lsn.render(left)}, before the saved {lsn.render(at)}"
    return None


def switch_points(history: str) -> dict[int, int]:
    """Return where each timeline of a history file was left: lines of ``timeline, LSN, reason``."""
    points = {}
    for line in history.splitlines():
        fields = line.split("#", 1)[0].split()
        if len(fields) >= 2:
            points[int(fields[0])] = lsn.parse(fields[1])
    return points
