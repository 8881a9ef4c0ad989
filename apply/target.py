"""Connections to the target, set up for apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from psycopg import errors

from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from runtime.config import Pipeline

_log = structlog.get_logger()


def connector(pipeline: Pipeline) -> Callable[[], psycopg.Connection]:
    """Return how to open a connection to the pipeline's target; it raises Unreachable or Refused."""
    if pipeline.target is None:
        raise AssertionError("apply was started without its target section")
    conninfo, limits = pipeline.target.conninfo, pipeline.apply

    def connect() -> psycopg.Connection:
        connection = postgres.connect(conninfo, application_name=f"ferryman apply {pipeline.pipeline}")
        _set(connection, "lock_timeout", postgres.duration(limits.lock_timeout_seconds))
        _set(connection, "statement_timeout", postgres.duration(limits.statement_timeout_seconds))
        _be_a_replica(connection)
        return connection

    return connect


def _be_a_replica(connection: psycopg.Connection) -> None:
    """Keep the target's foreign keys and triggers from judging changes that the source has judged already."""
    try:
        _set(connection, "session_replication_role", "replica")
    except errors.InsufficientPrivilege:
        connection.rollback()
        _log.info("target.triggers_fire", reason="the role may not set session_replication_role")


def _set(connection: psycopg.Connection, name: str, value: str) -> None:
    connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()
