"""A snapshot knows which transactions of the log it saw, although the log's ids have only 32 bits."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from capture.sources.postgres.visibility import Snapshot
from schemas.block import Transaction


def logged(xid: int) -> Transaction:
    """A transaction as Begin names it: by the low half of its xid."""
    return Transaction(0, 0, str(xid % 2**32))


def test_the_text_form_of_a_snapshot_is_read():
    assert Snapshot(10, 20, frozenset({12, 15})) == Snapshot.parse("10:20:12,15")
    assert Snapshot(10, 10, frozenset()) == Snapshot.parse("10:10:")


@given(
    xmin=st.integers(3, 2**40), running=st.sets(st.integers(0, 50)), width=st.integers(0, 60), at=st.integers(-99, 99)
)
@example(xmin=100, running={5}, width=10, at=5)
def test_seen_is_what_was_over_before_whatever_the_epoch(xmin, running, width, at):
    snapshot = Snapshot(xmin, xmin + width, frozenset(xmin + r for r in running))
    xid = max(0, xmin + at)

    over = xid < snapshot.xmin or (xid < snapshot.xmax and xid not in snapshot.running)
    assert over == snapshot.includes(logged(xid))


def test_a_transaction_of_the_epoch_before_was_seen():
    assert Snapshot(2**32 + 5, 2**32 + 5, frozenset()).includes(logged(2**32 - 1))


def test_a_transaction_of_the_next_epoch_was_not_seen():
    assert not Snapshot(2**33 - 2, 2**33 - 1, frozenset()).includes(logged(2**33 + 3))


def test_a_snapshot_is_after_a_fence_only_if_the_fence_itself_was_seen():
    fence = {"xid": 9, "running": []}

    assert not Snapshot(9, 9, frozenset()).after(fence)
    assert not Snapshot(9, 30, frozenset({9})).after(fence)
    assert Snapshot(5, 30, frozenset({5})).after(fence)  # 5 runs in another database


def test_a_snapshot_is_after_a_fence_only_if_everything_that_ran_then_was_seen():
    fence = {"xid": 2**32 + 9, "running": [7, 2**32 - 1]}  # 32-bit xids, of this epoch and of the one before

    assert Snapshot(2**32 + 10, 2**32 + 10, frozenset()).after(fence)
    assert not Snapshot(2**32 + 7, 2**32 + 30, frozenset({2**32 + 7})).after(fence)
    assert not Snapshot(2**32 - 1, 2**32 + 30, frozenset({2**32 - 1})).after(fence)
