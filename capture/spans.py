"""Sets of chunk numbers as inclusive ranges: short to store, as nearly all of a table's chunks follow one another."""

from __future__ import annotations


def ranges(numbers: set[int]) -> tuple[tuple[int, int], ...]:
    """Return a set of numbers as inclusive ranges, in order."""
    out: list[tuple[int, int]] = []
    for n in sorted(numbers):
        if out and out[-1][1] == n - 1:
            out[-1] = (out[-1][0], n)
        else:
            out.append((n, n))
    return tuple(out)


def numbers(spans: tuple[tuple[int, int], ...]) -> set[int]:
    """Return the set that :func:`ranges` was made of."""
    return {n for first, last in spans for n in range(first, last + 1)}
