"""Which topics to subscribe to next, so that the group really hands out all that is wanted.

The client loses news about topics in three places, and the group then stands still with topics that nobody reads:

- a subscription that is changed before the first one has led to an assignment may join with the topics of the first;
- topics that go and topics that come in one change: a member that is not the leader gives up the one and asks for
  nothing (librdkafka, ``rd_kafka_cgrp_metadata_update_check``);
- a member with a name (``group.instance.id``) that starts again gets its old assignment back, whatever it subscribes
  to now (KIP-345, "Rejoin"), and nobody is the leader until the group is balanced anew.

So changes go one after another, additions before removals, and now and then the brokers are asked whether topics are
left over: to be subscribed to without them, and then with them, makes the group share out everything anew while what
is being read is read on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Subscription:
    """The topics that are wanted and those that the client knows of; times are seconds of a monotonic clock.

    ``look_s`` lies between two looks at what is left over, and as long an answer of the group is waited for before the
    next change all the same. A tenth of it lies between an answer of the group and the next look.
    """

    def __init__(self, look_s: float) -> None:
        self._look_s = look_s
        self._wanted: frozenset[str] = frozenset()
        self._current: frozenset[str] = frozenset()
        self._patient_until = self._look_at = self._rested_at = 0.0

    def want(self, topics: Iterable[str]) -> None:
        """Take note of all topics that are to be read from now on; none at all changes nothing."""
        self._wanted = frozenset(topics) or self._wanted

    def answered(self, now: float) -> None:
        """The group assigned or revoked something."""
        self._patient_until, self._rested_at = now, now + self._look_s / 10

    def forget(self) -> None:
        """The client begins anew: it is subscribed to nothing."""
        self._current, self._patient_until = frozenset(), 0.0

    def next(self, now: float, left_over: Callable[[frozenset[str]], set[str]]) -> frozenset[str] | None:
        """Return what to subscribe to now, or None to leave everything as it is.

        ``left_over`` asks the brokers which of these topics are there and with no member of a group that is at rest.
        """
        if now < self._patient_until:
            return None
        change = self._change(now, left_over)
        if change is not None:
            self._current = change
            # Subscribed to nothing, no answer comes.
            self._patient_until = now + self._look_s if change else now
        return change

    def _change(self, now: float, left_over: Callable[[frozenset[str]], set[str]]) -> frozenset[str] | None:
        if self._wanted - self._current:
            return self._current | self._wanted
        if self._current - self._wanted:
            return self._wanted
        if not self._current or now < max(self._look_at, self._rested_at):
            return None
        self._look_at = now + self._look_s
        lost = left_over(self._current)
        return self._current - lost if lost else None
