"""The versions of tables that the stream goes through, and what each step between two of them means.

The log names a table's columns before its rows; the catalog adds what the log leaves out (comments, UUIDs, defaults).
It may be ahead of the log and is believed only where both agree. An ALTER TABLE that changes stored values writes no
rows, so a step is judged by comparing a table's columns before and after it. The columns last seen are saved with the
resume point, because tables are also altered while capture is down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.sources.mysql import catalog
from capture.sources.mysql.catalog import TableFacts
from capture.sources.mysql.changes import Reading
from capture.sources.mysql.faults import translated
from capture.sources.mysql.following import Followed
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.row_images import table_map
from capture.sources.mysql.server import place
from capture.sources.mysql.steps import Shape, loss
from runtime.names import spell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymysql.connections import Connection

    from capture.source import FoundTable
    from capture.sources.mysql.catalog import Version
    from capture.sources.mysql.log.ddl import Effect
    from capture.sources.mysql.row_images.table_map import TableMap
    from capture.sources.mysql.server import Server
    from schemas.table import TableSchema

#: A table's database and name.
Name = tuple[str, str]

NO_METADATA = "its rows were logged without the names of their columns (binlog_row_metadata is not FULL)"


class Versions:
    """What is known of each table by name; answers the assembler's questions.

    ``made`` tells a table from a later one of the same name: where the log says that the name got another table, as
    text, '' for the one that capture found first.
    """

    def __init__(self, session: Callable[[], Connection[Any]]) -> None:
        self._session = session
        self.server: Server | None = None
        self._wanted: dict[Name, str] = {}
        self._made: dict[Name, str] = {}
        self._schemas: dict[Name, TableSchema] = {}
        self._shapes: dict[Name, Shape] = {}
        #: The end of the log when the catalog told which value a column that was added has in older rows.
        self._looked: dict[Name, Place] = {}

    def want(self, tables: Iterable[FoundTable]) -> bool:
        """Follow exactly these tables; whether they are others than before."""
        wanted = {(t.namespace, t.table): str(t.identity["made"]) for t in tables}
        changed = wanted != self._wanted
        self._wanted = wanted
        self._shapes = {name: shape for name, shape in self._shapes.items() if name in wanted}
        return changed

    def made(self, name: Name) -> str:
        """Return what tells a table from a later one of its name."""
        return self._made.get(name, "")

    # --- what the stream asks --------------------------------------------------------------------------------------

    def follow(self, body: bytes) -> Followed | None:
        """Return the version of a table that the log announces; None for one that is none of ours."""
        name = table_map.name_of(body)
        if not self._follows(name):
            return None
        spelled, server = spell(*name), self._server()
        try:
            found = table_map.read(body, server.collations, mariadb=server.mariadb)
        except table_map.TableMapError as error:
            return Followed(spelled, unreadable=f"its rows cannot be read: {error}")
        if not found.full:
            return Followed(spelled, unreadable=NO_METADATA)
        version = self._version(name, found)
        lost = self._step(name, version)
        reading = Reading.of(spelled, self._same(name, version.schema), found, version.columns)
        return Followed(spelled, reading, lost)

    def outdated(self, effect: Effect, at: Place) -> list[str]:
        """Return the names of tables whose older rows' values came from a catalog that was ahead of this ALTER."""
        name = effect.database, effect.table or ""
        looked = self._looked.pop(name, None)
        return [spell(*name)] if looked is not None and at < looked and name in self._wanted else []

    def truncated(self, effect: Effect) -> tuple[str, TableSchema] | None:
        """Return the name and version of a table of ours that was emptied."""
        assert effect.table is not None, "a TRUNCATE names its table"
        name = effect.database, effect.table
        if not self._follows(name):
            return None
        if name not in self._schemas:
            facts = self._facts(name)
            if facts is None:
                return None  # it was dropped since
            self._schemas[name] = catalog.version(facts, self._server().kind).schema
        return spell(*name), self._schemas[name]

    def concerned(self, effect: Effect) -> list[str]:
        """Return the names of tables of ours that a statement concerns."""
        return [spell(*name) for name in self._wanted if _is_meant(effect, name)]

    def replaced(self, effect: Effect, at: str) -> None:
        """A table was dropped, renamed or made anew: its rows are none of ours until it was looked at again."""
        for name in {*self._wanted, (effect.database, effect.table or "")}:
            if _is_meant(effect, name):
                self._made[name] = at
                self._shapes.pop(name, None)
                self._schemas.pop(name, None)

    def all_names(self) -> list[str]:
        """Return the names of all tables of ours."""
        return [spell(*name) for name in self._wanted]

    # --- what discovery asks ---------------------------------------------------------------------------------------

    def look(self, tables: Iterable[FoundTable], described: Mapping[Name, TableFacts]) -> dict[str, str]:
        """Return by name the tables whose columns were changed at a loss, with the reason, before any row tells of it.

        What was seen of the stream stays as it is: the step is judged once more when the stream comes to it.
        """
        lost = {}
        for table in tables:
            name = table.namespace, table.table
            shape, facts = self._shapes.get(name), described.get(name)
            if shape is None or facts is None or not self._follows(name):
                continue
            reason = _judged(shape, catalog.version(facts, self._server().kind))
            if reason is not None:
                lost[table.name] = reason
        return lost

    def note(self, version: Version) -> None:
        """A snapshot of the table opens with this version: what was before counts no more."""
        self._shapes[version.schema.namespace, version.schema.name] = Shape.of(version)

    def dump(self) -> dict[str, Any]:
        """Return what must be known of the tables at a later start, as JSON."""
        return {
            "shapes": [[*name, shape.dump()] for name, shape in sorted(self._shapes.items())],
            "made": [[*name, made] for name, made in sorted(self._made.items())],
            "looked": [[*name, place.dump()] for name, place in sorted(self._looked.items())],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up what :meth:`dump` wrote."""
        self._shapes = {(d, t): Shape.load(shape) for d, t, shape in saved.get("shapes", [])}
        self._made = {(d, t): str(made) for d, t, made in saved.get("made", [])}
        self._looked = {(d, t): Place.load(place) for d, t, place in saved.get("looked", [])}

    # --- inside ----------------------------------------------------------------------------------------------------

    def _server(self) -> Server:
        assert self.server is not None, "prepare() comes first"
        return self.server

    def _follows(self, name: Name) -> bool:
        return name in self._wanted and self._wanted[name] == self.made(name)

    def _facts(self, name: Name) -> TableFacts | None:
        with translated(f"table {spell(*name)} cannot be described"):
            return catalog.describe_held(self._session(), *name, mariadb=self._server().mariadb)

    def _version(self, name: Name, found: TableMap) -> Version:
        facts = self._facts(name) or TableFacts(*name, columns=(), facts={}, comment=None)
        return catalog.version(facts, self._server().kind, found.columns)

    def _step(self, name: Name, version: Version) -> str | None:
        before, shape = self._shapes.get(name), Shape.of(version)
        self._shapes[name] = shape if before is None else shape.after(before)
        if before is None:
            return None
        added = {column.name for column in shape.columns} - {column.name for column in before.columns}
        if any(column.name in added and column.missing is not None for column in version.schema.columns):
            self._looked[name] = self._settled(name)
        return _judged(before, version)

    def _settled(self, name: Name) -> Place:
        """Return the end of the log once every ALTER of a table that the catalog shows is in it.

        Whoever alters a table holds its definition until that is logged; a transaction of ours that reads it waits.
        """
        session = self._session()
        with translated("the log's position cannot be read"), catalog.held(session, *name):
            return place(session)

    def _same(self, name: Name, schema: TableSchema) -> TableSchema:
        """Return the same object as before if it is equal: comparing versions row by row then costs nothing."""
        before = self._schemas.get(name)
        if before == schema:
            return before
        self._schemas[name] = schema
        return schema


def _judged(before: Shape, version: Version) -> str | None:
    after = Shape.of(version).after(before)
    return None if after == before else loss(before, after, version.facts)


def _is_meant(effect: Effect, name: Name) -> bool:
    return effect.database in ("", name[0]) and effect.table in (None, name[1])
