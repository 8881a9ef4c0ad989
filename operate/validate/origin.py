"""Where a comparison's source rows come from: what each kind of source does in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from operate.validate import catalog
from operate.validate.shape import Incompatible, Plan, plan
from operate.validate.side import PostgresEnd
from runtime import postgres

if TYPE_CHECKING:
    from operate.validate.shape import Shape
    from operate.validate.side import End
    from runtime.config import SourceConfig
    from schemas.positions import TableRecord


class Refusal(Exception):
    """The source's server refused a statement; the message says why, without values of rows."""


class Origin(Protocol):
    """The source of a comparison."""

    def open(self) -> End:
        """Open a connection for comparing; raises Unreachable or Refused."""

    def plan(self, source: End, target: PostgresEnd, record: TableRecord) -> Plan:
        """Return how a table is compared; raises Incompatible."""


class PostgresOrigin:
    """Both servers hash their own rows."""

    def __init__(self, source: SourceConfig) -> None:
        self._source = source

    def open(self) -> PostgresEnd:
        """Open a connection."""
        return PostgresEnd(self._source.conninfo, lambda plan: plan.source)

    def plan(self, source: End, target: PostgresEnd, record: TableRecord) -> Plan:
        """Return how a table is compared, from both catalogs."""
        assert isinstance(source, PostgresEnd), "opened above"
        namespace, name = postgres.parse_name(record.table)
        try:
            ours = catalog.shape(source.connection, namespace, name, publication=self._source.publication.name)
        except catalog.NoTable as finding:
            raise Incompatible(f"at the source {finding}") from None
        same_hash = catalog.hashes_alike(source.connection, target.connection)
        return plan(ours, target_shape(target, record), keyless=record.keyless, same_hash=same_hash)


def target_end(conninfo: str) -> PostgresEnd:
    """Open a connection to the target for comparing; raises Unreachable or Refused."""
    return PostgresEnd(conninfo, lambda plan: plan.target)


def target_shape(target: PostgresEnd, record: TableRecord) -> Shape:
    """Return the target's shape of a table; raises Incompatible when it is not there."""
    try:
        return catalog.shape(target.connection, *postgres.parse_name(record.table))
    except catalog.NoTable as finding:
        raise Incompatible(f"at the target {finding}") from None
