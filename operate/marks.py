"""A mark in the source's log: a place after everything committed so far, which an idle stream passes too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runtime import postgres
from runtime.errors import BadInput

if TYPE_CHECKING:
    import psycopg

    from runtime.config import Pipeline, SourceConfig
    from schemas.positions import StreamRecord

_PLACE: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
#: Within a transaction of its own, so that its commit flushes the log up to here at once.
_MESSAGE: Final = "SELECT pg_logical_emit_message(true, 'ferryman', '')"


def connect(pipeline: Pipeline) -> psycopg.Connection[Any]:
    """Open a session at the source for marks; raises Unreachable, or BadInput where the source has no such log."""
    return postgres.connect(postgresql_source(pipeline).conninfo, application_name="ferryman operate", autocommit=True)


def postgresql_source(pipeline: Pipeline) -> SourceConfig:
    """Return the pipeline's source section; raises BadInput unless it is there and is PostgreSQL."""
    if pipeline.source is None or pipeline.source.type != "postgresql":
        raise BadInput("this needs a PostgreSQL source", "source", "name one under `source:` in the pipeline file")
    return pipeline.source


def take(connection: psycopg.Connection[Any]) -> int:
    """Return a log position (bytes) after everything committed before the call, and make the log go on past it.

    Raises psycopg.Error.
    """
    row = connection.execute(_PLACE).fetchone()
    assert row is not None
    connection.execute(_MESSAGE)
    return int(row[0])


def captured(stream: StreamRecord, mark: int) -> bool:
    """Whether everything before ``mark`` is durable in the topics."""
    return int(stream.resume.get("lsn", 0)) >= mark
