"""What a network does to a link, each with the proof that somebody felt it. The link is healed in the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.support.daemons_pipeline import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.proxy import Proxy

#: Longer than every timeout in tests.support.links and than the session timeout of the tests' replicas.
OUTLASTING_S: Final = 6.0


def cut(link: Proxy, lasting_s: float = 1.0) -> None:
    """Reset all connections and refuse new ones for a while."""
    reset(link)
    link.sever()
    time.sleep(lasting_s)
    link.heal()


def reset(link: Proxy, lasting_s: float = 0.0) -> None:
    """Reset all connections, once; new ones are served."""
    until(lambda: link.drop() > 0, "somebody was connected")
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


def lose_answer(link: Proxy, request: bytes) -> None:
    """Let a request arrive and cut its connection before the answer: whoever asked cannot know what became of it."""
    swallowed = link.swallowed
    link.lose_answer_to(request)
    try:
        link.wait_until("swallowed", swallowed)
    finally:
        link.heal()


#: By link: how a request begins whose answer matters. (kafka-apply: nothing is asked there that changes anything.)
#: Kafka's is an idempotent ProduceRequest: client id, no tags, no transaction, acks of all (Kafka protocol, version 9+);
#: the source's a standby status update in a CopyData message, which confirms a position to the slot; the target's COMMIT.
REQUESTS: Final = {
    "source-capture": b"d\0\0\0\x26r",
    "capture-kafka": b"ferryman\0\0\xff\xff",
    "apply-target": b"COMMIT\0",
}

FAULTS: Final[dict[str, Callable[[Proxy], None]]] = {"cut": cut, "reset": reset, "stall": stall, "slow": slow}
