"""Rule 23: what rows older than a column have becomes the column's Avro default, where Avro can say it."""

from __future__ import annotations

import io

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import envelope_schema, table_schema
from schemas.avro_defaults import avro_default, decimal_bytes
from schemas.table import Column, Kind, TableSchema, ValueType


@pytest.mark.parametrize(
    ("kind", "text", "default"),
    [
        (Kind.BOOLEAN, "t", True),
        (Kind.BOOLEAN, "false", False),
        (Kind.BOOLEAN, "maybe", None),
        (Kind.INT16, "-32768", -32768),
        (Kind.INT16, "32768", None),
        (Kind.INT64, "9223372036854775807", 2**63 - 1),
        (Kind.INT32, "1e3", None),
        (Kind.FLOAT64, "1.5", 1.5),
        (Kind.FLOAT64, "NaN", None),
        (Kind.FLOAT32, "1e39", None),
        (Kind.FLOAT32, "x", None),
        (Kind.STRING, "", ""),
        (Kind.STRING, "\ud800", None),
        (Kind.JSON, '{"a": 1}', '{"a": 1}'),
        (Kind.UUID, "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        (Kind.UUID, "{123E4567-e89b-12d3-a456-426614174000}", None),
        (Kind.BYTES, "\\x00ff", "\x00\xff"),
        (Kind.BYTES, "\\x0", None),
        (Kind.BYTES, "abc", None),
        (Kind.DATE, "1970-01-02", 1),
        (Kind.DATE, "infinity", None),
        (Kind.DATE, "2023-02-29", None),
        (Kind.MICRO_TIMESTAMP, "2024-01-01 00:00:00", None),
    ],
)
def test_a_default_is_the_value_in_the_spelling_of_its_avro_type_or_nothing(kind, text, default):
    found = avro_default(ValueType(kind), text)
    assert (found, type(found)) == (default, type(default))


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("1.50", "\x00\x96"),
        ("-0.01", "\xff"),
        ("0.00", "\x00"),
        ("1.5", None),
        ("NaN", None),
        ("Infinity", None),
        ("x", None),
    ],
)
def test_a_decimal_default_is_exact_or_nothing(text, default):
    assert avro_default(ValueType(Kind.DECIMAL, 5, 2), text) == default


@given(st.integers(-(10**50), 10**50))
def test_decimal_bytes_are_the_fewest_that_hold_the_number(number):
    data = decimal_bytes(number)
    assert int.from_bytes(data, "big", signed=True) == number
    if len(data) > 1:
        assert int.from_bytes(data[1:], "big", signed=True) != number


def test_a_reader_of_the_new_schema_fills_old_rows_with_the_default():
    def column(name, kind, missing=None):
        return Column(name, ValueType(kind), missing=missing)

    old = TableSchema("public", "items", (column("a", Kind.INT32),))
    new = TableSchema(
        "public",
        "items",
        (
            *old.columns,
            column("b", Kind.INT32, "7"),
            column("d", Kind.DATE),
            column("e", Kind.ZONED_TIMESTAMP, "2024-01-01 00:00:00+00"),
        ),
    )
    writer, reader = (envelope_schema(table, "shop.public.items")["fields"][0]["type"][1] for table in (old, new))
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, writer, {"a": 1})
    stream.seek(0)
    assert fastavro.schemaless_reader(stream, writer, reader) == {
        "a": 1,
        "b": 7,
        "d": None,
        "e": None,
    }


def test_a_missing_value_without_an_avro_default_still_travels_with_the_schema():
    table = TableSchema("s", "t", (Column("a", ValueType(Kind.ZONED_TIMESTAMP), missing="2024-01-01 00:00:00+00"),))
    assert table_schema(envelope_schema(table, "x.s.t")) == table
