"""The records of ``<prefix>.control``: what people ask of a running capture. Obeyed once, in offset order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from schemas.errors import ContractError

Command = Literal["discover", "resync"]


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """One request: ``discover`` (look for new tables now) or ``resync`` (snapshot ``tables`` again).

    ``tables`` are the source's names in their SQL spelling; ``by`` says who asked, for the logs.
    """

    command: Command
    tables: tuple[str, ...] = ()
    by: str = ""


def encode(record: ControlRecord) -> bytes:
    """Return the message value of a request."""
    return json.dumps(asdict(record), sort_keys=True).encode()


def decode(value: bytes) -> ControlRecord:
    """Return the request of a message value; raises ContractError for anything else."""
    try:
        data = json.loads(value)
        command: Command = {"discover": "discover", "resync": "resync"}[data["command"]]  # type: ignore[assignment]
        return ControlRecord(command, tuple(map(str, data.get("tables", ()))), str(data.get("by", "")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"a record of the control topic cannot be read: {type(error).__name__}") from error
