"""What a network does to a link, each with the proof that somebody felt it. The link is healed in the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.proxy import Proxy

#: Longer than every timeout in tests.support.links and than the session timeout of the tests' replicas.
OUTLASTING_S: Final = 6.0


def cut(link: Proxy, lasting_s: float = 1.0) -> None:
    """Reset all connections and refuse new ones for a while."""
    _connected(link)
    assert link.sever() > 0, "nobody was connected"
    time.sleep(lasting_s)
    link.heal()


def reset(link: Proxy, lasting_s: float = 0.0) -> None:
    """Reset all connections, once; new ones are served."""
    _connected(link)
    assert link.drop() > 0, "nobody was connected"
    time.sleep(lasting_s)


def stall(link: Proxy, lasting_s: float = OUTLASTING_S) -> None:
    """Forward nothing for longer than all timeouts, with all connections standing; then bring what waited."""
    held = link.held
    link.stall()
    try:
        link.wait_until("held", held)
        time.sleep(lasting_s)
    finally:
        link.heal()


def slow(link: Proxy, lasting_s: float = 3.0) -> None:
    """Delay everything by a tenth of a second, and let no more than 200 kB/s pass."""
    slowed = link.slowed
    link.slow(0.1, 200_000)
    try:
        link.wait_until("slowed", slowed)
        time.sleep(lasting_s)
    finally:
        link.heal()


def _connected(link: Proxy) -> None:
    """Wait until somebody is connected."""
    deadline = time.monotonic() + 30
    while not link.connections:
        assert time.monotonic() < deadline, "nobody connects"
        time.sleep(0.05)


FAULTS: Final[dict[str, Callable[[Proxy], None]]] = {"cut": cut, "reset": reset, "stall": stall, "slow": slow}
