"""Takes away what a pipeline made: slot and publication, control rows, topics. Tables and their rows stay."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException
from psycopg import errors

from capture.source import SourceError, SourceUnavailable
from operate import sources
from runtime import kafka, postgres
from runtime.errors import FerrymanError, Unreachable
from runtime.kafka import KafkaUnavailable
from schemas.naming import control_topic, positions_topic, schemas_topic
from schemas.positions import TableRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from runtime.config import Pipeline

_ROWS: Final = {
    "checkpoint": "SELECT count(*) FROM ferryman.checkpoint WHERE pipeline = %s",
    "table_state": "SELECT count(*) FROM ferryman.table_state WHERE pipeline = %s",
}
_OTHERS: Final = """
SELECT EXISTS (SELECT FROM ferryman.checkpoint WHERE pipeline <> %(pipeline)s)
    OR EXISTS (SELECT FROM ferryman.table_state WHERE pipeline <> %(pipeline)s)"""
_DROP: Final = ("DROP TABLE ferryman.checkpoint, ferryman.table_state", "DROP SCHEMA ferryman")


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of a pipeline are meant."""

    source: bool = True
    target: bool = True
    topics: bool = True


@dataclass(slots=True)
class Made:
    """What there is to take away, in words, by part; ``names`` are the topics."""

    source: list[str] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def everything(self) -> list[str]:
        """All of it, in the order in which it goes."""
        return [*self.source, *self.target, *self.topics]


def find(pipeline: Pipeline, parts: Parts) -> Made:
    """Return what these parts of a pipeline are made of now; raises Unreachable, psycopg.Error."""
    made = Made()
    if parts.source:
        source = sources.source_of(pipeline)
        with _ours():
            made.source = sources.operations(source).made(source)
    if parts.target:
        with _target(pipeline) as connection:
            made.target = [f"{n} rows of ferryman.{name} on the target" for name, n in _rows(connection, pipeline) if n]
    if parts.topics:
        made.names = _topics(pipeline)
        made.topics = [f"topic {name}" for name in made.names]
    return made


def remove(pipeline: Pipeline, parts: Parts, made: Made) -> None:
    """Take away what :func:`find` found; safe to call again after a failure.

    The source first: its slot holds the log back. The topics last, the positions after all others: they name them.
    Raises Unreachable, FerrymanError, psycopg.Error.
    """
    if parts.source:
        source = sources.source_of(pipeline)
        with _ours():
            sources.operations(source).teardown(source)
    if parts.target:
        with _target(pipeline) as connection:
            _delete_rows(connection, pipeline.pipeline)
            _drop_schema(connection, pipeline)
    if parts.topics:
        _delete_topics(pipeline, made.names)


# --- target -----------------------------------------------------------------------------------------------------------


def _target(pipeline: Pipeline) -> psycopg.Connection[Any]:
    assert pipeline.target is not None
    return postgres.connect(pipeline.target.conninfo, application_name="ferryman teardown", autocommit=True)


def _rows(connection: psycopg.Connection[Any], pipeline: Pipeline) -> Iterator[tuple[str, int]]:
    for name, query in _ROWS.items():
        try:
            row = connection.execute(query, [pipeline.pipeline]).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            continue
        assert row is not None
        yield name, row[0]


def _delete_rows(connection: psycopg.Connection[Any], pipeline: str) -> None:
    with connection.transaction():
        for name in _ROWS:
            if connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"ferryman.{name}"]).fetchone() == (True,):
                connection.execute(f"DELETE FROM ferryman.{name} WHERE pipeline = %s".encode(), [pipeline])


def _drop_schema(connection: psycopg.Connection[Any], pipeline: Pipeline) -> None:
    """Drop the control tables when no other pipeline uses them; what we may not or need not drop stays."""
    others = {"pipeline": pipeline.pipeline}
    try:
        if connection.execute(_OTHERS, others).fetchone() == (True,):
            return
        with connection.transaction():
            lock_timeout = postgres.duration(pipeline.commands.teardown_lock_seconds)
            connection.execute(f"SET LOCAL lock_timeout = '{lock_timeout}'".encode())
            connection.execute("LOCK TABLE ferryman.checkpoint, ferryman.table_state IN ACCESS EXCLUSIVE MODE")
            if connection.execute(_OTHERS, others).fetchone() == (False,):
                for statement in _DROP:
                    connection.execute(statement)
    except (
        errors.UndefinedTable,
        errors.InvalidSchemaName,
        errors.InsufficientPrivilege,
        errors.DependentObjectsStillExist,
        errors.LockNotAvailable,
    ):
        return


# --- topics -----------------------------------------------------------------------------------------------------------


def _topics(pipeline: Pipeline) -> list[str]:
    """Return the pipeline's topics that exist; the positions topic, which names the others, comes last."""
    prefix = pipeline.pipeline
    wanted = [*_table_topics(pipeline), control_topic(prefix), schemas_topic(prefix), positions_topic(prefix)]
    there = kafka.topic_ids(pipeline.kafka, wanted)
    return [name for name in wanted if name in there]


def _table_topics(pipeline: Pipeline) -> list[str]:
    """Return the topics of all tables that the positions topic still names, removed ones too."""
    rows = kafka.read_all(pipeline.kafka, positions_topic(pipeline.pipeline))
    records = [decode(key, value) for _, key, value in rows if key is not None and value is not None]
    return sorted({record.topic for record in records if isinstance(record, TableRecord)})


def _delete_topics(pipeline: Pipeline, names: list[str]) -> None:
    admin = kafka.admin(pipeline.kafka)
    last = positions_topic(pipeline.pipeline)
    for batch in ([name for name in names if name != last], [name for name in names if name == last]):
        if batch:
            _delete(admin, batch)


def _delete(admin: kafka.Admin, names: list[str]) -> None:
    for name, future in admin.delete_topics(names, request_timeout=admin.timeout_s).items():
        try:
            future.result(admin.timeout_s + 5)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                what = f"topic {name} cannot be deleted: {error.args[0].str()}"
                raise KafkaUnavailable(
                    what, admin.address, "grant Delete on the topics, or delete them yourself"
                ) from None


@contextmanager
def _ours() -> Iterator[None]:
    """Turn what the source's own code raises into errors of the command line."""
    try:
        yield
    except SourceUnavailable as error:
        raise Unreachable(error.what, "source", error.fix) from error
    except SourceError as error:
        raise FerrymanError(error.what, "source", error.fix) from error
