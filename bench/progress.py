"""What a run is at, for the people who wait for it: one line each on stderr, with the seconds since the start."""

from __future__ import annotations

import sys
import time
from typing import Final

_BEGAN_AT: Final = time.monotonic()


def say(text: str) -> None:
    """Print a line."""
    print(f"[{time.monotonic() - _BEGAN_AT:5.0f} s] {text}", file=sys.stderr, flush=True)
