"""The versions of tables that the stream goes through, and what each step between two of them means.

An ALTER TABLE that rewrites stored values puts nothing into the log: the stream goes on with rows of another kind, and
what was published before is no longer true. Such a step is told by comparing a table's columns before and after it.
The columns last seen are saved with the resume point, because tables are also altered while capture is down.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from capture.sources.postgres import catalog
from capture.sources.postgres.assembler import Followed
from capture.sources.postgres.dumped import dumped
from capture.sources.postgres.faults import translated
from capture.sources.postgres.steps import Shape, loss
from runtime.postgres import spell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import psycopg

    from capture.source import FoundTable
    from capture.sources.postgres.catalog import Version
    from capture.sources.postgres.pgoutput import Relation
    from schemas.table import TableSchema


class Versions:
    """What is known of each table by oid; answers the assembler's question for a Relation message.

    ``until_visible`` returns once queries see the transaction that the stream is in.
    """

    def __init__(self, session: Callable[[], psycopg.Connection[Any]], until_visible: Callable[[], None]) -> None:
        self._session, self._until_visible = session, until_visible
        self._wanted: dict[int, tuple[str, str]] = {}
        self._schemas: dict[int, TableSchema] = {}
        self._shapes: dict[int, Shape] = {}
        self._dumped: dict[str, Any] = {}
        self._dumped_of: dict[int, Shape] = {}

    def want(self, tables: Iterable[FoundTable]) -> bool:
        """Follow exactly these tables; whether they are others than before.

        A table that was dropped and created again, or renamed, is a new one: its rows count from here on, when a new
        snapshot of it begins.
        """
        wanted = {int(table.identity["oid"]): (table.namespace, table.table) for table in tables}
        changed = wanted != self._wanted
        self._wanted = wanted
        self._shapes = {oid: shape for oid, shape in self._shapes.items() if oid in wanted}
        return changed

    def follow(self, relation: Relation, unknown: Mapping[str, str]) -> Followed | None:
        """Return the version of a table from here on, None for one that is none of ours.

        ``unknown`` are enum labels by column that the version so far does not have.
        """
        if self._wanted.get(relation.oid) != (relation.namespace, relation.name):
            return None
        name = spell(relation.namespace, relation.name)
        with translated(f"table {name} cannot be described"):
            version = catalog.version(self._session(), relation)
            if _ahead(version):
                self._until_visible()
                version = catalog.version(self._session(), relation)
            lost = self._step(version)
        schema = _with_labels(version.schema, unknown)
        # The same object as before if it is equal: comparing versions row by row then costs nothing.
        before = self._schemas.get(relation.oid)
        if before == schema:
            schema = before
        self._schemas[relation.oid] = schema
        return Followed(name, schema, lost)

    def look(self, tables: Iterable[FoundTable], publication: str) -> dict[str, str]:
        """Return by name the tables whose columns were changed at a loss, with the reason, before any row tells of it.

        What was seen of the stream stays as it is: the step is judged once more when the stream comes to it.
        """
        conn, lost = self._session(), {}
        with translated("the catalog cannot be read"):
            columns = catalog.columns(conn, list(self._shapes))
            for table in tables:
                oid = int(table.identity["oid"])
                shape = self._shapes.get(oid)
                if shape is None or shape.columns == columns.get(oid):
                    continue
                relation = catalog.relation(conn, oid, publication)
                reason = self._judge(shape, catalog.version(conn, relation)) if relation is not None else None
                if reason is not None:
                    lost[table.name] = reason
        return lost

    def note(self, version: Version) -> None:
        """A snapshot of the table opens with this version: what was before counts no more."""
        self._shapes[version.relation.oid] = Shape.of(version)

    def dump(self) -> dict[str, Any]:
        """Return the columns last seen, as JSON, for the resume point; the same object while nothing changed."""
        if self._dumped_of != self._shapes:
            self._dumped = dumped(self._shapes, self._dumped_of, self._dumped, Shape.dump)
            self._dumped_of = dict(self._shapes)
        return self._dumped

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up the columns of a resume point."""
        self._shapes = {int(oid): Shape.load(shape) for oid, shape in saved.items()}

    def _step(self, version: Version) -> str | None:
        oid = version.relation.oid
        shape, before = Shape.of(version), self._shapes.get(oid)
        self._shapes[oid] = shape if before is None else shape.after(before)
        return None if before is None else self._judge(before, version)

    def _judge(self, before: Shape, version: Version) -> str | None:
        after = Shape.of(version).after(before)
        if after == before:
            return None
        return loss(before, after, version, catalog.type_facts(self._session(), before.types() | after.types()))


def _ahead(version: Version) -> bool:
    """Whether the log has columns or types that the catalog has not: dropped since, or not visible yet.

    A transaction is in the log a moment before queries see it (or long before: its commit may wait for a standby).
    Taken for dropped, a new column would come without the value that older rows have in it.
    """
    columns = version.relation.columns
    return any(c.name not in version.facts.columns or (c.type_oid, c.typmod) not in version.types for c in columns)


def _with_labels(schema: TableSchema, unknown: Mapping[str, str]) -> TableSchema:
    """Add enum labels that the log has and the catalog has no more (they were renamed since)."""
    columns = [
        replace(c, type=replace(c.type, allowed=(*c.type.allowed, unknown[c.name])))
        if c.name in unknown and unknown[c.name] not in c.type.allowed
        else c
        for c in schema.columns
    ]
    return replace(schema, columns=tuple(columns))
