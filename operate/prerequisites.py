"""What must be true before a pipeline can run, system by system: every fault that can be found without changing one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from capture.source import SourceError, SourceUnavailable
from operate import sources
from runtime import kafka, postgres
from runtime.errors import Fault, FerrymanError, Unreachable
from schemas.naming import control_topic, positions_topic, schemas_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from runtime.config import Pipeline, SourceConfig, TargetConfig

#: The oldest PostgreSQL that apply writes to.
_OLDEST_TARGET: Final = 13


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found about one system or all of them; ``unreachable``: one did not let us look at all.

    ``warnings`` keep nothing from running.
    """

    faults: list[Fault]
    unreachable: bool = False
    warnings: list[Fault] = field(default_factory=list)


def every(pipeline: Pipeline) -> Findings:
    """Look at all systems of a pipeline at once, and return their faults in the order of the pipeline file."""
    checks: list[Callable[[], Findings]] = [lambda: Findings(kafka_faults(pipeline))]
    if (source := pipeline.source) is not None:
        checks.append(lambda: source_findings(pipeline, source))
    if (target := pipeline.target) is not None:
        checks.append(lambda: Findings(target_faults(pipeline, target)))
    with ThreadPoolExecutor(len(checks)) as pool:
        found = list(pool.map(_look, checks))
    faults = [fault for one in found for fault in one.faults]
    warnings = [warning for one in found for warning in one.warnings]
    return Findings(faults, any(one.unreachable for one in found), warnings)


def _look(check: Callable[[], Findings]) -> Findings:
    """Run one system's check; a system that does not answer is a finding like any other."""
    try:
        return check()
    except FerrymanError as error:
        return Findings(error.faults, isinstance(error, Unreachable))
    except SourceError as error:
        return Findings([Fault("source", error.what, error.fix)], isinstance(error, SourceUnavailable))


def source_findings(pipeline: Pipeline, source: SourceConfig) -> Findings:
    """Return what the source lacks: privileges, settings, replica identities; and what it had better have."""
    kind = sources.operations(source)
    return Findings(kind.check(source, pipeline.tables), warnings=kind.warnings(source, pipeline.tables))


def kafka_faults(pipeline: Pipeline) -> list[Fault]:
    """Return what the brokers refuse: they are asked to make our topics, in earnest but for validation only.

    Raises KafkaUnavailable or KafkaRefused when they do not answer.
    """
    client = kafka.admin(pipeline.kafka)
    prefix, settings = pipeline.pipeline, pipeline.topics
    names = [positions_topic(prefix), schemas_topic(prefix), control_topic(prefix)]
    present = kafka.topic_ids(client, names)
    absent = [name for name in names if name not in present]
    if not settings.create:
        fix = "make it with one partition (ARCHITECTURE.md says how each is kept), or set topics.create: true"
        return [Fault("kafka", f"the topic {name} does not exist, and topics.create is false", fix) for name in absent]
    return [fault for name in absent[:1] for fault in _trial(client, name, pipeline)]


def _trial(client: kafka.Admin, name: str, pipeline: Pipeline) -> list[Fault]:
    """Ask the brokers whether they would make a topic as the tables' topics are made."""
    topics = pipeline.topics
    config = {"retention.ms": str(topics.retention_ms), "max.message.bytes": str(topics.max_message_bytes)}
    topic = NewTopic(name, num_partitions=1, replication_factor=topics.replication_factor, config=config)
    try:
        client.create_topics([topic], validate_only=True, request_timeout=client.timeout_s)[name].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return []
        refused = kafka.unavailable(error, pipeline.kafka)
        return [Fault("kafka", f"the brokers would not make our topics: {refused.what}", refused.fix)]
    return []


def target_faults(pipeline: Pipeline, target: TargetConfig) -> list[Fault]:
    """Return what the target lacks. Raises Unreachable or Refused when it does not let us in."""
    with postgres.connect(target.conninfo, application_name="ferryman check", autocommit=True) as connection:
        return [*_server_faults(connection), *_privilege_faults(connection, pipeline.tables.schemas)]


def _server_faults(connection: psycopg.Connection) -> list[Fault]:
    faults = []
    version = connection.info.server_version // 10_000
    if version < _OLDEST_TARGET:
        faults.append(Fault("target", f"PostgreSQL {version} is too old", f"use PostgreSQL {_OLDEST_TARGET} or later"))
    if _value(connection, "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"):
        faults.append(Fault("target", "the server takes no writes", "use the writer's address (Aurora: the cluster's)"))
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        faults.append(
            Fault(
                "target",
                f"the database's encoding is {encoding}",
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
            )
        )
    return faults


def _privilege_faults(connection: psycopg.Connection, schemas: list[str]) -> list[Fault]:
    """Return a fault for every schema that exists without our right to make tables in it, or that we cannot make."""
    role = postgres.quote(connection.info.user)
    faults = []
    wanted = {name: _may_create(connection, name) for name in ["ferryman", *schemas]}
    for name in [name for name, may in wanted.items() if may is False]:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {postgres.quote(name)} TO {role};"
        faults.append(Fault("target", f"no right to make tables in the schema {postgres.quote(name)}", grant))
    missing = [postgres.quote(name) for name, may in wanted.items() if may is None]
    if missing and not _value(connection, "SELECT has_database_privilege(current_database(), 'CREATE')"):
        grant = f"GRANT CREATE ON DATABASE {postgres.quote(connection.info.dbname)} TO {role};"
        faults.append(Fault("target", f"no right to make the schemas {', '.join(missing)}", grant))
    return faults


def _may_create(connection: psycopg.Connection, schema: str) -> bool | None:
    """Whether we may make tables in a schema; None if there is no such schema."""
    row = connection.execute(
        "SELECT has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE')"
        " FROM pg_namespace WHERE nspname = %s",
        [schema],
    ).fetchone()
    return None if row is None else bool(row[0])


def _value(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
