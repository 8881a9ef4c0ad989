"""How long tests wait for what must come: a bound for failures, not a measure. A busy machine is no bug."""

from __future__ import annotations

import os
from typing import Final

#: Shorter patience than the usual one, in seconds: ``make mutants`` knows that most of what it waits for never comes.
VARIABLE: Final = "FERRYMAN_TEST_PATIENCE_S"
#: Seconds after which what did not come counts as never coming; far longer than it takes on two busy cores, and so that
#: one wait that ends so still fits into pytest's own limit for a test.
PATIENCE_S: Final = float(os.environ.get(VARIABLE, "150"))
