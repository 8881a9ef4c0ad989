"""Whether a server's log still has what comes after a resume point, and is the log that was read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.sources.mysql.log.gtid import GtidPosition, GtidSet


def another_log(saved: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return why a saved identity's log cannot be that of a server as it is now; None when it may be.

    Another server that numbers transactions like the saved one may have them all: see :func:`lacking`.
    """
    if saved.get("kind") != now["kind"]:
        return f"this is a server of another kind ({now['kind']})"
    if saved.get("server") == now["server"]:
        return None
    if not (saved.get("gtids") and now["gtids"]):
        return "this is another server, and without GTIDs its log cannot be compared with the one that was read"
    return None


def lacking(read: GtidSet | GtidPosition, executed: GtidSet | GtidPosition) -> str | None:
    """Return why a server is not one from which reading can go on: it lacks transactions that were read."""
    if executed.covers(read):  # type: ignore[arg-type]  # both are of the kind of the server
        return None
    return f"the server lacks transactions that were read: {read.without(executed)}"  # type: ignore[arg-type]


def lost(read: GtidSet, purged: GtidSet) -> str | None:
    """Return why a server cannot send what comes next: it purged transactions that were not read."""
    if read.covers(purged):
        return None
    return f"the server purged transactions that were not read: {purged.without(read)}"
