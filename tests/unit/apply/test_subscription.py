"""Changes of a subscription go to the group one after another, and what it has not handed out is asked for again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apply.subscription import Subscription

#: The settings of these tests, in seconds, and what follows from it.
LOOK_S = PATIENCE_S = 10.0
REST_S = 1.0


def nothing_left(topics: frozenset[str]) -> set[str]:
    return set()


def settled(*topics: str, now: float = 0.0) -> Subscription:
    subscription = Subscription(LOOK_S)
    subscription.want(topics)
    assert subscription.next(now, nothing_left) == set(topics)
    subscription.answered(now)
    return subscription


def test_nothing_is_changed_as_long_as_the_group_has_not_answered() -> None:
    subscription = Subscription(LOOK_S)
    subscription.want({"a"})
    assert subscription.next(0, nothing_left) == {"a"}
    subscription.want({"a", "b"})
    assert subscription.next(PATIENCE_S - 1, nothing_left) is None
    subscription.answered(PATIENCE_S - 1)
    assert subscription.next(PATIENCE_S - 1, nothing_left) == {"a", "b"}


def test_a_group_that_never_answers_does_not_keep_a_change_back_for_ever() -> None:
    subscription = Subscription(LOOK_S)
    subscription.want({"gone"})
    subscription.next(0, nothing_left)
    subscription.want({"there"})
    assert subscription.next(PATIENCE_S, nothing_left) == {"gone", "there"}


def test_topics_come_before_others_go() -> None:
    subscription = settled("a", "b")
    subscription.want({"b", "c"})
    assert subscription.next(1, nothing_left) == {"a", "b", "c"}
    assert subscription.next(2, nothing_left) is None
    subscription.answered(2)
    assert subscription.next(2, nothing_left) == {"b", "c"}


def test_no_topics_at_all_change_nothing() -> None:
    subscription = settled("a")
    subscription.want(())
    assert subscription.next(1, nothing_left) is None


def test_what_no_member_has_is_left_and_taken_up_again() -> None:
    subscription = settled("a", "b")
    assert subscription.next(REST_S, lambda _: {"b"}) == {"a"}
    subscription.answered(REST_S)
    assert subscription.next(REST_S, lambda _: {"b"}) == {"a", "b"}


def test_when_everything_is_left_over_it_is_taken_up_again_without_waiting_for_an_answer() -> None:
    subscription = settled("a")
    assert subscription.next(REST_S, lambda _: {"a"}) == set()
    assert subscription.next(REST_S, lambda _: {"a"}) == {"a"}


def test_the_brokers_are_asked_for_what_is_left_over_only_now_and_then() -> None:
    subscription, asked = settled("a"), list[frozenset[str]]()

    def left_over(topics: frozenset[str]) -> set[str]:
        asked.append(topics)
        return set()

    for now in (REST_S - 0.1, REST_S, REST_S + 1, REST_S + LOOK_S - 0.1, REST_S + LOOK_S):
        subscription.next(now, left_over)
    assert asked == [{"a"}, {"a"}]


def test_a_topic_that_stays_left_over_does_not_make_the_group_share_out_all_the_time() -> None:
    subscription, changes = settled("a", "b"), 0
    for tenths in range(10 * int(REST_S + 3 * LOOK_S)):
        if subscription.next(tenths / 10, lambda _: {"b"}) is not None:
            subscription.answered(tenths / 10)
            changes += 1
    assert changes == 6


def test_a_client_that_begins_anew_is_subscribed_at_once() -> None:
    subscription = settled("a", "b")
    subscription.forget()
    assert subscription.next(0, nothing_left) == {"a", "b"}


TOPICS = st.frozensets(st.sampled_from("abcdef"), min_size=1)


@given(st.lists(st.tuples(TOPICS, st.frozensets(st.sampled_from("abcdef")), st.booleans()), max_size=20), TOPICS)
def test_whatever_happens_the_subscription_becomes_what_is_wanted(
    steps: list[tuple[frozenset[str], frozenset[str], bool]], last: frozenset[str]
) -> None:
    subscription, now = Subscription(LOOK_S), 0.0
    current: frozenset[str] = frozenset()

    def turn(lost: frozenset[str]) -> None:
        nonlocal current
        change = subscription.next(now, lambda topics: set(lost & topics))
        if change is not None:
            assert not (change - current and current - change), "topics go and come at once"
            current = change

    for wanted, lost, answers in steps:
        now += 1.0
        subscription.want(wanted)
        turn(lost)
        if answers:
            subscription.answered(now)
    subscription.want(last)
    for _ in range(6):
        now += PATIENCE_S
        turn(frozenset())
    assert current == last
