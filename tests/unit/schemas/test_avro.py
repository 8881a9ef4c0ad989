"""A table version as Avro schemas: nothing is lost, and the ecosystem reads it as Debezium's."""

from __future__ import annotations

import json
from pathlib import Path

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.avro import envelope_schema, field_names, key_schema, table_schema, verbatim_key_schema
from schemas.errors import ContractError
from schemas.fingerprint import fingerprint, schema_text
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.strategies import names, tables

TOPIC = "shop.public.items"
GOLDEN = Path(__file__).parent / "golden"


def of_every_kind() -> TableSchema:
    """Return a table with a column of each kind, in the vocabulary's order."""
    parameters = {
        Kind.DECIMAL: {"precision": 10, "scale": 2},
        Kind.BITS: {"length": 12},
        Kind.ENUM: {"allowed": ("small", "me,dium", "large")},
    }
    columns = [
        Column(
            kind.name.lower(),
            ValueType(kind, **parameters.get(kind, {})),
            source_type=f"type_of_{kind.name.lower()}",
            target_type="text",
            key_position=1 if kind is Kind.INT64 else None,
            identity=kind is Kind.INT64,
            nullable=kind is not Kind.INT64,
        )
        for kind in Kind
    ]
    odd = Column(
        'Odd "name"', ValueType(Kind.INT32), nullable=False, source_type="int4", target_type="integer",
        fallback_type="numeric", length=32, scale=0, missing="7", comment="seven by default",
    )  # fmt: skip
    return TableSchema("public", "items", (*columns, odd), database="shop", comment="one of each")


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("envelope", envelope_schema(of_every_kind(), TOPIC)),
        ("key", key_schema(of_every_kind(), TOPIC)),
        ("verbatim_key", verbatim_key_schema(of_every_kind(), TOPIC)),
    ],
)
def test_the_schemas_of_a_table_of_all_kinds_are_those_of_the_golden_file(name, schema):
    assert schema == json.loads((GOLDEN / f"{name}.json").read_text())


@given(tables(), names)
def test_a_table_version_comes_back_exactly_from_its_schema(table, name):
    stored = json.loads(schema_text(envelope_schema(table, f"shop.public.{name}")))
    assert table_schema(stored) == table
    assert table_schema(stored).key == table.key


@given(tables(), tables())
def test_table_versions_that_differ_have_schemas_of_different_fingerprints(one, other):
    assume(one != other)
    assert fingerprint(envelope_schema(one, TOPIC)) != fingerprint(envelope_schema(other, TOPIC))


@given(st.data())
def test_one_word_of_a_column_changes_the_fingerprint(data):
    table = data.draw(tables())
    changed = table.columns[0].__class__(**{**_fields(table.columns[0]), "comment": "not drawn by any strategy"})
    other = TableSchema(
        table.namespace, table.name, (changed, *table.columns[1:]), database=table.database, comment=table.comment
    )
    assert fingerprint(envelope_schema(table, TOPIC)) != fingerprint(envelope_schema(other, TOPIC))


def _fields(column: Column) -> dict:
    return {name: getattr(column, name) for name in Column.__dataclass_fields__}


@given(tables(), names)
def test_every_schema_is_legal_avro_whatever_the_names_are(table, name):
    topic = f"shop.public.{name}"
    for schema in (envelope_schema(table, topic), key_schema(table, topic)):
        if schema is not None:
            fastavro.parse_schema(schema)


@given(tables(keyed=True))
def test_the_schema_of_odd_keys_is_legal_avro(table):
    fastavro.parse_schema(verbatim_key_schema(table, TOPIC))


@given(tables(keyed=True), st.text(max_size=5))
def test_a_key_schema_does_not_depend_on_comments_or_source_types(table, comment):
    columns = tuple(Column(**{**_fields(c), "comment": comment, "source_type": comment}) for c in table.columns)
    other = TableSchema(table.namespace, table.name, columns)
    assert key_schema(table, TOPIC) == key_schema(other, TOPIC)


def test_keys_follow_the_order_of_the_key_not_of_the_table():
    columns = (Column("a", ValueType(Kind.INT32), key_position=2), Column("b", ValueType(Kind.INT32), key_position=1))
    schema = key_schema(TableSchema("s", "t", columns), TOPIC)
    assert [field["name"] for field in schema["fields"]] == ["b", "a"]


def test_a_table_without_a_key_has_no_key_schema():
    assert key_schema(TableSchema("s", "t", (Column("a", ValueType(Kind.INT32)),)), TOPIC) is None


def test_the_envelope_begins_with_the_fields_of_debezium():
    fields = [field["name"] for field in envelope_schema(of_every_kind(), TOPIC)["fields"]]
    assert fields[:7] == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us"]


def test_columns_whose_names_differ_only_in_illegal_characters_stay_apart():
    table = TableSchema(
        "s", "t", tuple(Column(name, ValueType(Kind.INT32)) for name in ("a b", "a-b", "a_b", "a_x20_b"))
    )
    assert len(set(field_names(table))) == 4


def test_a_connector_that_the_contract_does_not_know_is_refused():
    with pytest.raises(ContractError, match="source block"):
        envelope_schema(TableSchema("s", "t", (), connector="db2"), TOPIC)


def test_a_negative_scale_is_refused():
    table = TableSchema("s", "t", (Column("a", ValueType(Kind.DECIMAL, 5, -2)),))
    with pytest.raises(ContractError, match="negative scale"):
        envelope_schema(table, TOPIC)


def test_a_schema_of_another_contract_version_is_refused():
    with pytest.raises(ContractError, match="contract 2"):
        table_schema(envelope_schema(of_every_kind(), TOPIC) | {"ferryman.contract": 2})


@pytest.mark.parametrize("schema", [{}, {"fields": []}, {"fields": [{"name": "before"}]}, {"fields": 3}])
def test_a_schema_that_is_no_envelope_is_refused(schema):
    with pytest.raises(ContractError):
        table_schema(schema)


def test_a_type_outside_the_vocabulary_is_refused():
    schema = json.loads(schema_text(envelope_schema(of_every_kind(), TOPIC)))
    schema["fields"][0]["type"][1]["fields"][0]["type"][1] = {
        "type": "string",
        "connect.name": "io.debezium.data.Nothing",
    }
    with pytest.raises(ContractError, match="value type"):
        table_schema(schema)
