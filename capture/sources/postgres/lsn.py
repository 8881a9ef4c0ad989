"""Log sequence numbers: a 64-bit position in the write-ahead log, and its text form ``X/Y``. Pure."""

from __future__ import annotations


def parse(text: str) -> int:
    """Return the number of ``16/B374D848``."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def render(lsn: int) -> str:
    """Return the text form that PostgreSQL reads."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
