"""What the contract refuses."""

from __future__ import annotations


class ContractError(Exception):
    """Bytes, a name or a schema that the contract cannot serve. The message never holds a row value."""
