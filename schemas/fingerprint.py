"""CRC-64-AVRO: the 64-bit fingerprint by which events name their schema.

Source: Apache Avro specification, "Schema Fingerprints" (Rabin fingerprint) and "Single-object encoding".
Unlike Avro's own use of it, the text is the complete schema, not its Parsing Canonical Form: that form drops
logical types and properties, so two schemas that decode differently would share a fingerprint.
"""

from __future__ import annotations

import json
from typing import Any, Final

_EMPTY: Final = 0xC15D213AA4D7A795


def _table_entry(index: int) -> int:
    entry = index
    for _ in range(8):
        entry = (entry >> 1) ^ (_EMPTY & -(entry & 1))
    return entry


_TABLE: Final = tuple(_table_entry(index) for index in range(256))


def crc64(data: bytes) -> int:
    """Return the CRC-64-AVRO of some bytes as an unsigned 64-bit integer."""
    value = _EMPTY
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def schema_text(schema: Any) -> str:
    """Return the one spelling of a schema that is stored and fingerprinted: sorted keys, no whitespace, ASCII."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(schema: Any) -> int:
    """Return the fingerprint of a complete schema as an unsigned 64-bit integer."""
    return crc64(schema_text(schema).encode())
