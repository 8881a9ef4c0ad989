"""Any error as one with words for people and an exit code, free of row values and secrets."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Final

import psycopg
import typer
from confluent_kafka import KafkaException

from runtime.errors import BadInput, FerrymanError, Refused, Unreachable
from runtime.sqlstate import Reaction, describe, reaction
from schemas.errors import ContractError

_PASSING: Final = (Reaction.RETRY, Reaction.RECONNECT, Reaction.SLOW_RETRY)
_REFUSED: Final = ("28", "42501", "3D000")


def explain(error: Exception) -> FerrymanError:
    """Return an error as ours; with FERRYMAN_DEBUG=1 the traceback of an internal one goes to stderr first."""
    if isinstance(error, FerrymanError):
        return error
    if isinstance(error, typer.TyperException):
        return BadInput(error.format_message(), fix="`ferryman COMMAND --help` shows how a command is used")
    if isinstance(error, psycopg.Error):
        return _of_database(error)
    if isinstance(error, KafkaException):
        return Unreachable(error.args[0].str(), "kafka", "check that the brokers run and can be reached")
    if isinstance(error, ContractError):
        return FerrymanError(str(error), fix="another version of ferryman, or another program, wrote it")
    return _of_bug(error)


def _of_database(error: psycopg.Error) -> FerrymanError:
    if (error.sqlstate or "").startswith(_REFUSED):
        return Refused(describe(error), "postgresql", "grant what is missing")
    if reaction(error) in _PASSING:
        return Unreachable(describe(error), "postgresql", "try again")
    return FerrymanError(describe(error), "postgresql")


def _of_bug(error: Exception) -> FerrymanError:
    if os.environ.get("FERRYMAN_DEBUG") == "1":
        traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{Path(place[0].filename).name}:{place[0].lineno}" if place else ""
    fix = "set FERRYMAN_DEBUG=1 for the traceback, and report it"
    return FerrymanError(f"internal error: {type(error).__name__}", where, fix)
