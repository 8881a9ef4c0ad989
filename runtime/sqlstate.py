"""PostgreSQL's errors: what they are called, and what a daemon does about each. Pure.

Codes: PostgreSQL documentation, Appendix A "PostgreSQL Error Codes".
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import psycopg
from psycopg import errors

from runtime.errors import Refused, Unreachable
from runtime.names import spell, visible


class Reaction(Enum):
    """What a daemon does about an error."""

    RETRY = "retry"  # the whole transaction again, at once, with jitter
    RECONNECT = "reconnect"  # a new connection (names resolved again), then the transaction again
    SLOW_RETRY = "slow_retry"  # as RECONNECT after a long pause: somebody must make room, and should be called
    BLOCK = "block"  # this table stops and says why; the others go on
    STOP = "stop"  # the daemon stops and says why


_BY_CODE: Final[dict[str, Reaction]] = {
    # the transaction lost against another one
    "40001": Reaction.RETRY,  # serialization_failure
    "40P01": Reaction.RETRY,  # deadlock_detected
    "55P03": Reaction.RETRY,  # lock_not_available
    "57014": Reaction.RETRY,  # query_canceled: statement_timeout, or an operator
    # the session or the server went away
    "25006": Reaction.RECONNECT,  # read_only_sql_transaction: a former writer, after a failover
    "25P03": Reaction.RECONNECT,  # idle_in_transaction_session_timeout
    "25P04": Reaction.RECONNECT,  # transaction_timeout
    "40003": Reaction.RECONNECT,  # statement_completion_unknown
    "53300": Reaction.RECONNECT,  # too_many_connections
    "55006": Reaction.RECONNECT,  # object_in_use: another session holds the slot
    "57P01": Reaction.RECONNECT,  # admin_shutdown
    "57P02": Reaction.RECONNECT,  # crash_shutdown
    "57P03": Reaction.RECONNECT,  # cannot_connect_now
    "57P05": Reaction.RECONNECT,  # idle_session_timeout
    # this table, as it is at the target, does not take these rows
    "21000": Reaction.BLOCK,  # cardinality_violation
    "3F000": Reaction.BLOCK,  # invalid_schema_name: dropped
    "42701": Reaction.BLOCK,  # duplicate_column: somebody added it at the same moment
    "42703": Reaction.BLOCK,  # undefined_column
    "42704": Reaction.BLOCK,  # undefined_object: a type that the target lacks
    "42804": Reaction.BLOCK,  # datatype_mismatch
    "42809": Reaction.BLOCK,  # wrong_object_type: a view stands where the table should
    "42846": Reaction.BLOCK,  # cannot_coerce
    "42P01": Reaction.BLOCK,  # undefined_table
    "42P06": Reaction.BLOCK,  # duplicate_schema
    "42P07": Reaction.BLOCK,  # duplicate_table
    "42P10": Reaction.BLOCK,  # invalid_column_reference: no unique index left for ON CONFLICT
    "0A000": Reaction.BLOCK,  # feature_not_supported: a column that a view depends on cannot change its type
    "P0001": Reaction.BLOCK,  # raise_exception: a trigger said no
    # somebody must change something
    "3D000": Reaction.STOP,  # invalid_catalog_name: no such database
    "42501": Reaction.STOP,  # insufficient_privilege
}

_BY_CLASS: Final[dict[str, Reaction]] = {
    "08": Reaction.RECONNECT,  # connection exceptions
    "58": Reaction.RECONNECT,  # system errors of the server: another node may be sound
    "53": Reaction.SLOW_RETRY,  # insufficient resources: disk full, out of memory
    "22": Reaction.BLOCK,  # data exceptions
    "23": Reaction.BLOCK,  # integrity constraints
    "44": Reaction.BLOCK,  # WITH CHECK OPTION
    "54": Reaction.BLOCK,  # program limits: too many columns, row too big
    "28": Reaction.STOP,  # authentication
}

#: Codes and classes whose message names objects and settings only, never a value of a row.
_MESSAGE_IS_SAFE: Final = (
    "08",
    "25",
    "28",
    "3D",
    "3F",
    "40",
    "53",
    "55",
    "57",
    "58",
    "42501",
    "42703",
    "42704",
    "42P01",
)


def reaction(error: BaseException) -> Reaction:
    """Return what to do about an error of the driver or of :func:`runtime.postgres.connect`.

    Whatever is not known to be passing, or to concern one table, stops the daemon: the default is never a retry.
    """
    if isinstance(error, Refused):
        return Reaction.STOP
    if isinstance(error, Unreachable):
        return Reaction.RECONNECT
    if not isinstance(error, psycopg.Error):
        return Reaction.STOP
    code = error.sqlstate
    if code is None:
        return _without_code(error)
    return _BY_CODE.get(code) or _BY_CLASS.get(code[:2]) or Reaction.STOP


def _without_code(error: psycopg.Error) -> Reaction:
    if isinstance(error, psycopg.DataError):
        return Reaction.BLOCK  # the driver itself cannot send the value
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return Reaction.RECONNECT if lost else Reaction.STOP


def describe(error: BaseException) -> str:
    """Return an error in words without any value of a row: SQLSTATE, its name, and the objects it concerns."""
    if not isinstance(error, psycopg.Error):
        return type(error).__name__
    code = error.sqlstate
    if code is None:
        return f"{type(error).__name__}, without SQLSTATE (the connection was lost, or the driver refused)"
    parts = [f"SQLSTATE {code} ({_condition(code)})", *_objects(error.diag)]
    if code.startswith(_MESSAGE_IS_SAFE) and error.diag.message_primary:
        parts.append(visible(error.diag.message_primary))
    return ", ".join(parts)


def _condition(code: str) -> str:
    try:
        return errors.lookup(code).__name__
    except KeyError:
        return "unknown"


def _objects(diag: errors.Diagnostic) -> list[str]:
    found = []
    if diag.table_name:
        found.append(f"table {visible(spell(diag.schema_name or '', diag.table_name))}")
    for kind, name in (("column", diag.column_name), ("constraint", diag.constraint_name)):
        if name:
            found.append(f"{kind} {visible(name)}")
    if diag.datatype_name:
        found.append(f"type {visible(diag.datatype_name)}")
    return found
