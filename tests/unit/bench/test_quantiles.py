"""Quantiles are values that were measured, never something between them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.quantiles import quantile, summary_ms

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200).map(sorted)


@given(TIMES, st.floats(0.001, 1))
def test_at_least_the_share_is_not_above_a_quantile_and_less_is_below_it(ordered: list[float], share: float) -> None:
    found = quantile(ordered, share)

    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    assert sum(value < found for value in ordered) < share * len(ordered) + 1e-9


def test_a_summary_is_in_milliseconds_and_needs_no_order() -> None:
    seconds = [value / 1000 for value in range(200, 0, -1)]

    assert summary_ms(seconds) == {"p50_ms": 100.0, "p99_ms": 198.0, "max_ms": 200.0}
