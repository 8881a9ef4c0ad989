"""What a mutant is: one substitution of text, and the test that must fail."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """``old`` stands exactly once in ``file``; with ``new`` in its place ``test`` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str
    rule: int = 0
