"""PostgreSQL's COPY text form of one value: the form of all values on the apply side.

Source: PostgreSQL documentation, COPY, "Text Format".
"""

from __future__ import annotations

import re
from typing import Final

_SPECIAL: Final = re.compile(rb"[\\\x08\t\n\x0b\x0c\r]")
_ESCAPES: Final = {
    b"\\": rb"\\", b"\b": rb"\b", b"\t": rb"\t", b"\n": rb"\n", b"\v": rb"\v", b"\f": rb"\f", b"\r": rb"\r",
}  # fmt: skip


def escape(text: bytes) -> bytes:
    r"""Return a value's text with backslashes and control characters escaped; a value is never ``\N`` afterwards."""
    if not _SPECIAL.search(text):
        return text
    return _SPECIAL.sub(lambda found: _ESCAPES[found.group()], text)
