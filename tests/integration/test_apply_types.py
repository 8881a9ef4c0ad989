"""What the renderers write, PostgreSQL reads as the very value, and a text of it that COPY and parameters agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from apply.copy_lines import copy_lines, parameters
from apply.session import Session
from apply.types import renderer
from runtime import postgres
from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def connected(target_server: str) -> Iterator[Session]:
    session = Session(lambda: postgres.connect(target_server, application_name="ferryman tests"))
    yield session
    session.close()


@pytest.fixture
def session(connected: Session) -> Iterator[Session]:
    yield connected
    connected.rollback()


def decimal(n: int) -> bytes:
    return n.to_bytes(16, "big", signed=True)


CASES = [
    (ValueType(Kind.BOOLEAN), True, "boolean", "true"),
    (ValueType(Kind.INT16), -32768, "smallint", "-32768"),
    (ValueType(Kind.INT64), -(2**63), "bigint", "-9223372036854775808"),
    (ValueType(Kind.FLOAT32), 0.10000000149011612, "real", "0.1"),
    (ValueType(Kind.FLOAT32), 3.4028234663852886e38, "real", "3.4028235e+38"),
    (ValueType(Kind.FLOAT64), 5e-324, "double precision", "5e-324"),
    (ValueType(Kind.FLOAT64), float("nan"), "double precision", "NaN"),
    (ValueType(Kind.FLOAT64), float("-inf"), "double precision", "-Infinity"),
    (ValueType(Kind.FLOAT64), -0.0, "double precision", "-0"),
    (ValueType(Kind.STRING), "a\\b\tc\nd\re\x0b\x0c\x08'\"$ü🙂", "text", "a\\b\tc\nd\re\x0b\x0c\x08'\"$ü🙂"),
    (ValueType(Kind.STRING), "\\N", "text", "\\N"),
    (ValueType(Kind.STRING), "\\.", "text", "\\."),
    (ValueType(Kind.STRING), "", "text", ""),
    (ValueType(Kind.STRING), '{1,NULL,"a,b\\\\"}', "text[]", '{1,NULL,"a,b\\\\"}'),
    (ValueType(Kind.BYTES), b"\x00\\\xff", "bytea", "\\x005cff"),
    (ValueType(Kind.DECIMAL, precision=20, scale=3), decimal(-5), "numeric(20,3)", "-0.005"),
    (ValueType(Kind.DECIMAL, precision=20, scale=0), decimal(10**19), "numeric(20)", "10000000000000000000"),
    (ValueType(Kind.VARIABLE_DECIMAL), {"scale": 2, "value": decimal(150)}, "numeric", "1.50"),
    (ValueType(Kind.DATE), 19_000, "date", "2022-01-08"),
    (ValueType(Kind.DATE), -719_529, "date", "0002-12-31 BC"),
    (ValueType(Kind.DATE), 2145042905, "date", "5874897-12-31"),
    (ValueType(Kind.MICRO_TIME), 86_399_999_999, "time", "23:59:59.999999"),
    (ValueType(Kind.MICRO_TIME), 86_400_000_000, "time", "24:00:00"),
    (ValueType(Kind.MICRO_TIMESTAMP), -1, "timestamp", "1969-12-31 23:59:59.999999"),
    (ValueType(Kind.MICRO_TIMESTAMP), 9_224_318_015_999_999_999 - 2**63, "timestamp", None),
    (ValueType(Kind.ZONED_TIME), "23:59:59.5+05:30", "timetz", "23:59:59.5+05:30"),
    (ValueType(Kind.ZONED_TIMESTAMP), "2020-02-29T12:00:00.25Z", "timestamptz", "2020-02-29 12:00:00.25+00"),
    (ValueType(Kind.INTERVAL), "P1Y-2M3DT-4H5M-6.7S", "interval", "P10M3DT-3H-55M-6.7S"),
    (ValueType(Kind.JSON), '{"a": "\\\\ \\u00e9\\n"}', "json", '{"a": "\\\\ \\u00e9\\n"}'),
    (ValueType(Kind.UUID), "00000000-0000-0000-0000-00000000000a", "uuid", "00000000-0000-0000-0000-00000000000a"),
    (ValueType(Kind.BITS, length=10), b"\x03\x02", "bit(10)", "1000000011"),
    (ValueType(Kind.TSVECTOR), "'a\\\\b':1A 'c''d':2", "tsvector", "'a\\\\b':1A 'c''d':2"),
]


@pytest.mark.parametrize(("kind", "value", "column", "text"), CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_a_value_arrives_as_it_is_by_copy_and_as_a_parameter(
    session: Session, kind: ValueType, value: object, column: str, text: str | None
) -> None:
    rendered = renderer(kind)(value)
    session.run(f"CREATE TEMP TABLE v (how text, x {column}) ON COMMIT DROP")
    session.copy("COPY v FROM STDIN", [copy_lines([(b"copy", rendered)])])
    session.many("INSERT INTO v VALUES (%s, %s)", [parameters((b"parameter", rendered))])

    found = dict(session.run("SELECT how, x::text FROM v").fetchall())

    assert found["copy"] == found["parameter"]
    assert text is None or found["copy"] == text


def test_a_nul_character_is_refused_and_not_cut_off(session: Session) -> None:
    rendered = renderer(ValueType(Kind.STRING))("a\0b")
    session.run("CREATE TEMP TABLE v (x text) ON COMMIT DROP")

    with pytest.raises(psycopg.DataError):
        session.copy("COPY v FROM STDIN", [copy_lines([(rendered,)])])
