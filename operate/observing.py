"""Finds out where a pipeline stands, from every system that answers: the daemons are not asked, and may be down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import KafkaException

from apply.membership import Group
from capture.source import SourceError
from operate import applied, sources
from operate.following import end_offsets
from operate.status import Facts, capture_state
from runtime import kafka, positions, postgres
from runtime.errors import Fault, FerrymanError, Unreachable

if TYPE_CHECKING:
    from capture.operations import LogState
    from operate.applied import Applied
    from runtime.config import Pipeline
    from schemas.positions import Positions


def observe(pipeline: Pipeline) -> tuple[Facts, list[Fault]]:
    """Return what is known of a pipeline, and which systems could not be asked.

    Raises KafkaUnavailable: without the brokers nothing is known.
    """
    faults: list[Fault] = []
    standing = positions.read(pipeline.kafka, pipeline.pipeline)
    admin = kafka.admin(pipeline.kafka)
    places = [(t.topic, p) for t in standing.tables.values() for p in range(t.partitions)]
    facts = Facts(
        pipeline=pipeline.pipeline,
        now=time.time(),
        positions=standing,
        applied=_applied(pipeline, faults),
        ends=end_offsets(admin, places),
        source=_source(pipeline, standing, faults),
        applying=applying(pipeline),
        patience_s=pipeline.commands.patience_seconds,
    )
    return facts, faults


def _source(pipeline: Pipeline, standing: Positions, faults: list[Fault]) -> LogState | None:
    try:
        with sources.session(pipeline) as session:
            return session.look(standing.stream)
    except FerrymanError as error:
        faults.extend(error.faults)
    except SourceError as error:
        faults.append(Fault("source", error.what, error.fix))
    return None


def _applied(pipeline: Pipeline, faults: list[Fault]) -> Applied | None:
    assert pipeline.target is not None
    try:
        with postgres.connect(
            pipeline.target.conninfo, application_name="ferryman status", autocommit=True
        ) as connection:
            return applied.read(connection, pipeline.pipeline)
    except Unreachable as error:
        faults.extend(error.faults)
    except psycopg.Error as error:
        faults.append(Fault("target", postgres.describe(error)))
    return None


def applying(pipeline: Pipeline) -> bool | None:
    """Whether a replica of apply is a member of the pipeline's consumer group; None: the brokers do not say."""
    try:
        found = Group(kafka.admin(pipeline.kafka), pipeline.pipeline).standing()
    except KafkaException:
        return None
    return found is not None and bool(found.members)


def capturing(pipeline: Pipeline) -> bool:
    """Whether a capture runs: it reads the log, or where the source cannot tell, its position is fresh."""
    standing = positions.read(pipeline.kafka, pipeline.pipeline)
    faults: list[Fault] = []
    source, patience_s = _source(pipeline, standing, faults), pipeline.commands.patience_seconds
    return capture_state(standing, source, time.time(), patience_s) == "running"
