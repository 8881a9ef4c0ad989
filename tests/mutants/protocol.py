"""Deliberate breakages of the protocol as data: each is one substitution of text, and names the test that must fail.

A mutant that no test catches says that a promise of docs/guarantees.md is not tested; one whose text is not found
exactly once is stale and proves nothing. ``rule`` is the number in docs/snapshot-merge.md, where there is one.
"""

from __future__ import annotations

from typing import Final

from tests.mutants.apply import APPLY
from tests.mutants.capture import CAPTURE
from tests.mutants.operate import OPERATE
from tests.mutants.schemas import SCHEMAS

MUTANTS: Final = (*CAPTURE, *SCHEMAS, *APPLY, *OPERATE)
