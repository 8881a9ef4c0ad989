"""What to do about a batch that failed: one function decides."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from psycopg import errors

from apply.errors import Blocked
from apply.state import Halt
from runtime import postgres
from runtime.errors import FerrymanError, Refused
from runtime.failpoints import FailpointError
from runtime.postgres import Reaction
from schemas.errors import ContractError

if TYPE_CHECKING:
    from apply.partition import Batch
    from apply.work import Work


#: So often in a row a batch may lose against other sessions before its table is called blocked, with the reason.
LOST_AT_MOST: Final = 5


class Action(Enum):
    """What happens to a batch that was rolled back."""

    AGAIN = "again"  # at once, from a fresh look at the target, rows lifted out if values may have clashed
    HALVE = "halve"  # at once, but only about half as many events
    LATER = "later"  # after a short pause
    BLOCK = "block"  # the table stands still; it is looked at again now and then
    STOP = "stop"  # the daemon ends


def decide(error: Exception, work: Work, batch: Batch) -> Action:
    """Return what to do about an error of a batch that nothing of is in the target.

    An error of the data concerns one table. The batch is tried once more at once: what was known of the target may be
    out of date, or a unique value may have been handed from row to row. Then it is halved, until the source transaction
    that cannot be applied is alone and everything before it is in the target.
    """
    reaction = reaction_to(error)
    if reaction is Reaction.BLOCK:
        return _blocking(work, batch)
    if reaction is Reaction.RETRY and work.lost >= LOST_AT_MOST:
        return Action.BLOCK  # somebody holds the table for long: that is said, and takes less of the others' time
    return {
        Reaction.RETRY: Action.LATER,
        Reaction.RECONNECT: Action.LATER,
        Reaction.SLOW_RETRY: Action.BLOCK,
    }.get(reaction, Action.STOP)


def reaction_to(error: Exception) -> Reaction:
    """Class an error of the driver, of the contract, or our own."""
    if isinstance(error, Blocked | ContractError):
        return Reaction.BLOCK
    if isinstance(error, FailpointError):
        return Reaction.RETRY
    return postgres.reaction(error)


def halt_for(error: Exception) -> Halt:
    """Return what a blocked table's row says of an error; no value of a row in it."""
    if isinstance(error, Blocked):
        return Halt("blocked", error.reason, error.fix)
    if isinstance(error, ContractError):
        return Halt(
            "blocked", str(error), "update ferryman if capture is newer than apply, or `ferryman resync` the table"
        )
    return Halt("blocked", postgres.describe(error), advice(error))


def refusal(error: Exception) -> FerrymanError:
    """Return what ends the daemon: the target's refusal in words without values."""
    if isinstance(error, FerrymanError):
        return error
    return Refused(postgres.describe(error), "target", "mend this at the target, then start apply again")


def advice(error: Exception) -> str:
    """Return what a person can do about an error of the target."""
    for kind, words in _ADVICE:
        if isinstance(error, kind):
            return f"{words}; ferryman goes on by itself"
    return "mend the target's table; ferryman goes on by itself"


_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (errors.UniqueViolation, "drop the target's unique constraint, make it DEFERRABLE, or remove the row in the way"),
    (errors.ForeignKeyViolation, "drop the target's foreign key, or let the role set session_replication_role"),
    (errors.NotNullViolation, "give the target's column a default, or let it take NULL"),
    (errors.CheckViolation, "drop or correct the target's constraint"),
    (errors.UndefinedTable, "create the table, or set apply.evolution: evolve"),
    (errors.UndefinedColumn, "add the column"),
    (errors.LockNotAvailable, "end the session that holds the table's lock"),
    (errors.QueryCanceled, "find out who cancels it, or raise apply.statement_timeout_seconds"),
    (errors.DiskFull, "make room at the target"),
    (errors.OutOfMemory, "give the target more memory"),
    (errors.DataError, "give the target's column a type that holds the source's values"),
)


def _blocking(work: Work, batch: Batch) -> Action:
    if not work.tried:
        return Action.AGAIN
    if work.session is not None:
        return Action.BLOCK  # a part of a large transaction: nothing of it can be applied alone
    return Action.HALVE if batch.units > 1 else Action.BLOCK
