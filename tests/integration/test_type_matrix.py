"""Every type, from a hostile source to a hostile target: chunk, stream and target hold the same text of each value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from runtime import postgres
from schemas.positions import Phase
from schemas.table import Kind
from schemas.values import Verbatim
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.postgres_source import Database
from tests.support.sources import changes, found, read_all, read_chunk, snapshot, started
from tests.support.type_matrix import (
    EXTENSIONS,
    HOSTILE,
    TYPES,
    UNDOCUMENTED,
    USER_TYPES,
    WITHOUT_INPUT,
    Case,
    cases,
    doc_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capture.source import Source
    from schemas.block import Row
    from schemas.table import TableSchema

pytestmark = pytest.mark.live

DOCUMENT = Path(__file__).parents[2] / "docs" / "type-map.md"
HEAD = "| type | kind | column of the target | values that are compared | go verbatim |\n|---|---|---|---|---|\n"
#: The document speaks of what this version has.
DOCUMENTED = 180_000
#: Rows that are there when capture starts have numbers from 0, those that come by the stream from here on.
STREAMED = 1_000
ROWS = f"SELECT * FROM t WHERE id {{}} {STREAMED} ORDER BY id"


class World:
    """A source with the table of all types, hostile URLs of both ends, and the columns."""

    def __init__(self, source: Database, target: psycopg.Connection[Any], target_url: str) -> None:
        self.source = source
        extensions = [name for name in EXTENSIONS if available(source.conn, name) and available(target, name)]
        for connection in (source.conn, target):
            for name in extensions:
                schema = EXTENSIONS[name]
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION {name} SCHEMA {schema}")
        source.run(USER_TYPES)
        self.cases = cases(
            {
                sql: knows(source.conn, sql, values[0]) and (sql != "xml" or knows(target, sql, values[0]))
                for sql, values in TYPES.items()
            }
        )
        columns = ", ".join(f"c{i} {case.sql}" for i, case in enumerate(self.cases))
        source.run(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
        self.role = f"h_{source.name[-8:]}"
        self.source_url = hostile(source.conn, source.url, self.role)
        self.target_url = hostile(target, target_url, self.role)

    def insert(self, first: int) -> None:
        """Write each value once, in rows numbered from ``first`` on; the last row is all NULL."""
        for row in range(1 + max(len(case.values) for case in self.cases)):
            values = ", ".join(case.value(row) for case in self.cases)
            self.source.run(f"INSERT INTO t VALUES ({first + row}, {values})")


def available(connection: psycopg.Connection[Any], extension: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [extension])
    return found.fetchone() is not None


def knows(connection: psycopg.Connection[Any], sql: str, value: str) -> bool:
    """Whether the server has this type, and reads values of it (without libxml it has a type xml that reads none)."""
    try:
        connection.execute(f"SELECT ({value})::{sql}".encode())
    except (
        psycopg.errors.UndefinedObject,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.InvalidParameterValue,
    ):
        return False
    return True


def hostile(connection: psycopg.Connection[Any], url: str, role: str) -> str:
    """Make a role, and settings of role and database, that write values in the oddest way; return the role's URL."""
    connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'x'".encode())
    for setting in HOSTILE:
        connection.execute(f"ALTER ROLE {role} SET {setting}".encode())
        connection.execute(f"ALTER ROLE {role} IN DATABASE {connection.info.dbname} SET {setting}".encode())
    head, _, tail = url.partition("://")
    return f"{head}://{role}:x@{tail.rpartition('@')[2]}"


@pytest.fixture
def world(source_db: str, target_db: str, pipeline_name: str) -> Iterator[World]:
    source = Database(source_db, pipeline_name)
    with psycopg.connect(target_db, autocommit=True) as target:
        made = World(source, target, target_db)
        try:
            yield made
        finally:
            for connection in (source.conn, target):
                connection.execute(f"DROP OWNED BY {made.role}; DROP ROLE {made.role}".encode())
            source.conn.close()


def test_the_matrix_has_every_type_of_the_catalog_that_a_column_can_have(world: World) -> None:
    query = """
        SELECT typname FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typsubscript::text <>
            'array_subscript_handler'"""
    catalog = {name for (name,) in world.source.conn.execute(query)}
    tried = (
        "SELECT typname FROM pg_type WHERE oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = 't'::regclass)"
    )
    covered = {name for (name,) in world.source.conn.execute(tried)}

    unreadable = {name for name in catalog if name == "xml" and not knows(world.source.conn, "xml", "'a'")}
    assert catalog - covered - WITHOUT_INPUT - unreadable == set()


def test_chunk_and_stream_agree_byte_for_byte_and_the_document_is_current(world: World, tmp_path: Path) -> None:
    with started(world.source.source(url=world.source_url)) as source:
        world.insert(0)
        batch = read_all(source)
        table = found(source, "t")
        copied = snapshot(source, table, tmp_path)
        schema = batch.blocks[-1].table
        assert copied == [event.after for event in changes(batch, "t")]
        assert source.schema(table) == schema == read_chunk(source, table, tmp_path).schema
        lines = [line(source, schema, i, case, copied) for i, case in enumerate(world.cases)]
    arrays = {schema.columns[i + 1].type.kind for i, case in enumerate(world.cases) if case.sql.endswith("[]")}
    assert arrays == {Kind.STRING}
    if world.source.conn.info.server_version >= DOCUMENTED:
        shown = [text for text, case in zip(lines, world.cases, strict=True) if is_shown(case)]
        assert_documented(HEAD + "\n".join(shown) + "\n")


def is_shown(case: Case) -> bool:
    """Arrays of all values need no line; whether there is a type xml depends on how the server was built."""
    return "ARRAY[(" not in case.values[0] and not case.sql.startswith(UNDOCUMENTED)


def line(source: Source, schema: TableSchema, index: int, case: Case, rows: list[Row]) -> str:
    """A type's line of the document, made from what was seen."""
    column = schema.columns[index + 1]
    convert = source.converter(column)
    verbatim = [
        case.values[n]
        for n, row in enumerate(rows[: len(case.values)])
        if isinstance(text := row[index + 1], bytes) and isinstance(convert(text), Verbatim)
    ]
    made_by_hand = "odd." in case.sql
    target = column.fallback_type if made_by_hand else column.target_type
    same = not made_by_hand and (target != "text" or case.sql == "text")
    return doc_row(case, column.type.kind.name, "" if same else target, verbatim)


def assert_documented(matrix: str) -> None:
    before, begin, rest = DOCUMENT.read_text().partition("<!-- matrix: make type-map -->\n")
    _, end, after = rest.partition("<!-- end -->")
    current = before + begin + matrix + end + after
    if os.environ.get("FERRYMAN_WRITE_TYPE_MAP"):
        DOCUMENT.write_text(current)
    assert begin
    assert end
    assert DOCUMENT.read_text() == current, "make type-map writes it anew"


def test_every_value_arrives_as_it_is_by_snapshot_and_by_stream(
    world: World, target_db: str, kafka: str, pipeline_name: str, tmp_path: Path
) -> None:
    world.insert(0)
    with closing(Pipeline(tmp_path, pipeline_name, kafka, world.source_url, world.target_url)) as pipeline:
        # Only the daemons are to log in as the hostile role.
        pipeline.source, pipeline.target = world.source.url, target_db
        pipeline.start()
        pipeline.wait_for_saved(lambda saved: [t.phase for t in saved.tables.values()] == [Phase.STREAMING])
        pipeline.caught_up()
        world.insert(STREAMED)
        world.source.run(f"UPDATE t SET id = id + 500 WHERE id < {STREAMED // 2}")
        world.source.run(f"UPDATE t SET id = id - 500 WHERE id < {STREAMED}")
        pipeline.caught_up()
        assert pipeline.states()["public.t"][0] == "streaming"
        pipeline.stop()
    sent, loaded = copied_out(world.source.url, "<"), copied_out(world.target_url, "<")
    names = ["id", *(case.sql for case in world.cases)]
    assert loaded[-1].count(b"\\N") == len(world.cases)
    assert differences(names, sent, loaded) == []
    assert differences(names, copied_out(world.source.url, ">="), copied_out(world.target_url, ">=")) == []


def copied_out(url: str, side: str) -> list[bytes]:
    """The rows as COPY writes them in a session of ours: the very text of each value."""
    with (
        postgres.connect(url, application_name="ferryman tests") as connection,
        connection.cursor().copy(f"COPY ({ROWS.format(side).replace(' t ', ' public.t ')}) TO STDOUT".encode()) as copy,
    ):
        return b"".join(bytes(part) for part in copy).splitlines()


def differences(names: list[str], left: list[bytes], right: list[bytes]) -> list[tuple[str, bytes, bytes]]:
    assert len(left) == len(right) > 0
    return [
        (name, a, b)
        for one, other in zip(left, right, strict=True)
        for name, a, b in zip(names, one.split(b"\t"), other.split(b"\t"), strict=True)
        if a != b
    ]
