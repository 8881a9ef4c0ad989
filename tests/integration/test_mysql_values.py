"""Every type and character set of MySQL and MariaDB: what a SELECT gives, what the log has, what the target holds."""

from __future__ import annotations

import re
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psycopg
import pytest

from apply.types import renderer
from capture.runs import Run
from capture.sources.mysql import catalog, query, values
from capture.sources.mysql.changes import Reading, block_of
from capture.sources.mysql.row_images import charsets, forms, rows
from runtime import mysql
from schemas.block import Transaction
from schemas.columnar.block import rows_of
from schemas.table import Column, Kind
from schemas.values import Verbatim
from tests.support import mysql_types
from tests.support.mysql_log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from capture.sources.mysql.catalog import Version
    from capture.sources.mysql.row_images.rows import RowEvent
    from capture.sources.mysql.row_images.table_map import TableMap

pytestmark = pytest.mark.live

#: Columns of one table: statements that make tables take their time, and rows of all have 65,535 bytes together.
TOGETHER = 8
#: A row of nulls alone.
NULLS = 1000


class Table(NamedTuple):
    """A table of the matrix: as the catalog and as the log describe it, the log's events, and its rows as selected."""

    name: str
    types: list[str]
    catalog: Version
    logged: Version
    map: TableMap
    events: list[RowEvent]
    selected: list[tuple[bytes | None, ...]]


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def matrix(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Table]]]:
    from tests.support.databases import fresh_mysql_database

    with fresh_mysql_database(request.getfixturevalue(f"{request.param}_server"), "types") as url:
        yield url, _matrix(url)


def _matrix(url: str) -> list[Table]:
    log = Log(url)
    since = log.end()
    cases = mysql_types.cases(log.version, mariadb=log.mariadb)
    groups = {f"t{at}": cases[at : at + TOGETHER] for at in range(0, len(cases), TOGETHER)}
    with closing(mysql.connect(url, program_name="test")) as session, session.cursor() as cursor:
        for name, group in groups.items():
            _fill(cursor, name, group)
    logged: dict[str, list[tuple[TableMap, RowEvent]]] = {}
    for found, event in log.row_events(since):
        logged.setdefault(found.table, []).append((found, event))
    with (
        closing(mysql.connect(url, program_name="test", raw=True)) as raw,
        closing(mysql.connect(url, program_name="test")) as session,
    ):
        return [_table(session, raw, name, group, logged[name], log) for name, group in groups.items()]


def _fill(cursor: Any, name: str, group: list[mysql_types.Case]) -> None:
    columns = ", ".join(f"v{i} {case.type}" for i, case in enumerate(group))
    cursor.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, {columns})")
    for row in range(max(len(case.values) for case in group)):
        shown = ", ".join(case.values[row] if row < len(case.values) else "NULL" for case in group)
        cursor.execute(f"INSERT IGNORE INTO {name} VALUES ({row}, {shown})")
    cursor.execute(f"INSERT INTO {name} (id) VALUES ({NULLS})")


def _table(session: Any, raw: Any, name: str, group: list, logged: list, log: Log) -> Table:
    database = session.db.decode()
    facts = catalog.describe(session, database, name, mariadb=log.mariadb)
    assert facts is not None
    kind = "mariadb" if log.mariadb else "mysql"
    found = logged[0][0]
    shown, told = catalog.version(facts, kind), catalog.version(facts, kind, found.columns)
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT {query.select_list(shown.columns)} FROM {name} ORDER BY id")
        made = [forms.selected(column) for column in shown.columns]
        selected = [
            tuple(
                value if form is None or value is None else form(value) for value, form in zip(row, made, strict=True)
            )
            for row in cursor.fetchall()
        ]
    return Table(name, ["int"] + [case.type for case in group], shown, told, found, [e for _, e in logged], selected)


def test_the_log_and_the_catalog_describe_the_same_table_version(matrix):
    for table in matrix[1]:
        assert table.logged.schema == table.catalog.schema


def test_every_value_is_the_same_in_chunks_and_in_the_stream_to_the_byte(matrix):
    for table in matrix[1]:
        decode = rows.decoder(table.map, table.logged.columns)
        streamed = [change.after for event in table.events for change in decode(event)]
        for name, *columns in zip(table.types, *table.selected, strict=True):
            assert any(value is not None for value in columns), name
        assert streamed == table.selected


def test_read_by_column_the_stream_gives_the_same(matrix):
    for table in matrix[1]:
        reading = Reading.of("t", table.logged.schema, table.map, table.logged.columns)
        found = [row for event in table.events for row in reading.split(event)]
        run = Run(reading, [Transaction(1, 0, "")], rows=found)
        assert rows_of(block_of(run, fewest=1)).after == table.selected


def test_a_value_in_source_form_finds_its_row(matrix):
    url, tables = matrix
    with closing(mysql.connect(url, program_name="test")) as session, session.cursor() as cursor:
        for table in tables:
            for place, (meta, column) in enumerate(
                zip(table.catalog.columns, table.catalog.schema.columns, strict=True)
            ):
                if meta.data_type in ("json", "vector") or values.is_geometry(column) or not place:
                    continue
                for row in table.selected:
                    if row[place] is not None:
                        where = (
                            f"id = {row[0].decode()} AND {query.quoted(meta.name)} = {query.literal(meta, row[place])}"
                        )
                        cursor.execute(f"SELECT COUNT(*) FROM {table.name} WHERE {where}")
                        assert cursor.fetchone() == (1,), table.types[place]


#: What the target has no place for: dates that no calendar has, and U+0000.
NO_DATE = re.compile(rb"0000-|\d{4}-00-|\d{4}-\d\d-00|\d{4}-02-31")


def test_the_target_holds_every_value_that_postgresql_has_a_place_for(matrix, target_db):
    with psycopg.connect(target_db, autocommit=True) as target:
        target.execute("SET TimeZone = 'UTC'")
        for table in matrix[1]:
            for place, column in enumerate(table.logged.schema.columns):
                forms_of = [row[place] for row in table.selected if row[place] is not None]
                _check_column(target, table.types[place], column, forms_of)


def _check_column(target: psycopg.Connection[Any], name: str, column: Column, found: list[bytes]) -> None:
    convert, render = values.converter(column), renderer(column.type)
    lines, sent = [], []
    for form in found:
        value = convert(form)
        if isinstance(value, Verbatim):
            assert NO_DATE.match(form), name
            continue
        if column.type.kind in (Kind.STRING, Kind.ENUM) and b"\0" in form and not values.is_vector(column):
            continue
        sent.append(form)
        lines.append(render(value))
    target.execute(f"CREATE TEMP TABLE held (n serial, v {column.fallback_type})")
    with target.cursor().copy("COPY held (v) FROM STDIN") as copy:
        copy.write(b"".join(line + b"\n" for line in lines))
    kind = column.type.kind
    shown = (
        "EXTRACT(EPOCH FROM v)::text"
        if kind is Kind.INTERVAL
        else "host(v)"
        if "inet" in column.target_type
        else "v::text"
    )
    held = [text for (text,) in target.execute(f"SELECT {shown} FROM held ORDER BY n").fetchall()]
    target.execute("DROP TABLE held")
    for form, text in zip(sent, held, strict=True):
        assert _means(column, form, text), (name, text[:80])


def _means(column: Column, form: bytes, text: str) -> bool:
    """Whether what the target shows of a value is what its source form says."""
    if values.is_vector(column):
        return np.array_equal(np.array(text[1:-1].split(","), np.float32), np.frombuffer(form, np.float32))
    if column.source_type == "YEAR":
        return int(text) == int(form)
    if values.is_geometry(column):
        return bytes.fromhex(text[2:]) == _ewkb(form)
    shown = SHOWN.get(column.type.kind)
    return text.encode() == form if shown is None else shown(column, form, text)


#: How a kind's values are compared whose text differs between the servers.
SHOWN = {
    Kind.FLOAT32: lambda _, form, text: np.float32(float(text)) == np.float32(float(form)),
    Kind.FLOAT64: lambda _, form, text: float(text).hex() == float(form).hex(),
    Kind.INTERVAL: lambda _, form, text: Decimal(text) == _seconds(form.decode()),
    Kind.BITS: lambda column, form, text: text == format(int.from_bytes(form, "big"), f"0{column.type.length}b"),
    Kind.MICRO_TIMESTAMP: lambda _, form, text: text == _without_zeros(form.decode()),
    Kind.ZONED_TIMESTAMP: lambda _, form, text: text == f"{_without_zeros(form.decode())}+00",
    Kind.BYTES: lambda _, form, text: bytes.fromhex(text[2:]) == form,
}


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _seconds(text: str) -> Decimal:
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = text.lstrip("-").split(":")
    return sign * (int(hours) * 3600 + int(minutes) * 60 + Decimal(seconds))


def _ewkb(stored: bytes) -> bytes:
    srid, wkb = stored[:4], stored[4:]
    return wkb if srid == bytes(4) else wkb[:4] + bytes([wkb[4] | 0x20]) + srid + wkb[5:]


@pytest.mark.slow
def test_all_characters_of_every_character_set_are_what_the_server_takes_them_for(matrix):
    with closing(mysql.connect(matrix[0], program_name="test")) as session, session.cursor() as cursor:
        cursor.execute("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS")
        for charset, longest in cursor.fetchall():
            decode = None if charset == "binary" else charsets.decoder(charset)
            if decode is None or charset.startswith(("utf", "ucs")):
                continue
            alone: set[bytes] = set()
            for code, text in _characters(cursor, charset, longest):
                found = _text(decode, code)
                if len(code) == 1 and found is not None:
                    alone.add(code)
                elif code[:1] in alone:
                    continue  # two characters, or one and something that is none
                # The server has marks for what it cannot convert; Python knows some more.
                if "?" not in text and "\ufffd" not in text:
                    assert found == text, (charset, code.hex())


def _text(decode: Callable[[bytes], bytes], code: bytes) -> str | None:
    try:
        return decode(code).decode()
    except UnicodeDecodeError:
        return None


def _characters(cursor: Any, charset: str, longest: int) -> Iterator[tuple[bytes, str]]:
    codes = [bytes([first]) for first in range(256)]
    if longest > 1:
        codes += [bytes([a, b]) for a in range(0x81, 0xFF) for b in range(0x40, 0xFF)]
    if charset in ("ujis", "eucjpms"):
        codes += [bytes([0x8F, a, b]) for a in range(0xA1, 0xFF) for b in range(0xA1, 0xFF)]
    for at in range(0, len(codes), 4000):
        part = codes[at : at + 4000]
        shown = ",".join(
            f"IFNULL(CONVERT(CONVERT(x'{code.hex()}' USING {charset}) USING utf8mb4),'?')" for code in part
        )
        cursor.execute(f"SELECT {shown}")
        yield from zip(part, (text or "?" for text in cursor.fetchone()), strict=True)
