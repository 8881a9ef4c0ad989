"""The one place where the command line tells kinds of sources apart."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from operate.validate.origin import PostgresOrigin
from runtime.errors import BadInput
from runtime.settings_database import MYSQL_KINDS

if TYPE_CHECKING:
    from capture.operations import LogMark, Operations, Session
    from operate.validate.origin import Origin
    from runtime.config import Pipeline, SourceConfig

#: The folder in capture/sources of each kind. Imported when it is needed: each brings its own libraries.
FOLDERS: Final = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}


def source_of(pipeline: Pipeline) -> SourceConfig:
    """Return the pipeline's source section; raises BadInput unless it is there."""
    if pipeline.source is None:
        raise BadInput("this needs the source", "source", "name it under `source:` in the pipeline file")
    return pipeline.source


def operations(source: SourceConfig) -> Operations:
    """Return what can be done with this kind of source."""
    module = importlib.import_module(f"capture.sources.{FOLDERS[source.type]}.operations")
    found: Operations = module.OPERATIONS
    return found


def session(pipeline: Pipeline) -> Session:
    """Open a session at the source; raises Unreachable, BadInput."""
    source = source_of(pipeline)
    return operations(source).session(pipeline.pipeline, source)


def origin(pipeline: Pipeline) -> Origin:
    """Return where the rows come from that `ferryman validate` compares the target's with."""
    source = source_of(pipeline)
    if source.type in MYSQL_KINDS:
        from operate.validate.mysql_origin import MySQLOrigin  # noqa: PLC0415 - brings libraries of its own

        return MySQLOrigin(pipeline, source)
    return PostgresOrigin(source)


def mark(pipeline: Pipeline) -> LogMark:
    """Return a mark after everything committed so far, in a session of its own; raises Unreachable, BadInput."""
    with session(pipeline) as one:
        return one.mark()
