"""A table version as the Avro schemas of its events, in Debezium's envelope, and back: nothing is lost between.

Sources: Debezium ``Envelope`` (version 2) and ``column.propagate.source.type``; Confluent AvroData. What both lack
is in properties named ``ferryman.*``. Keys hold names and Avro types only, because partitioning and compaction see
the schema's id in the key bytes: a comment that changes must not move a row.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final

from schemas.avro_defaults import avro_default
from schemas.avro_names import avro_name, avro_namespace
from schemas.avro_types import Records, avro_type, bare_type, expect, type_properties, value_type
from schemas.errors import ContractError
from schemas.source_block import TRANSACTION_SCHEMA, source_schema
from schemas.table import Column, TableSchema

#: Version of the ``ferryman.*`` properties and fields; a reader refuses a schema of another one.
CONTRACT_VERSION: Final = 1
_ENVELOPE_VERSION: Final = 2
_SOURCE_COLUMN: Final = "__debezium.source.column."
#: Our own fields of an event; the lists and maps of columns use the Avro names of the columns, as ``after`` does.
_OURS: Final[tuple[tuple[str, Any], ...]] = (
    ("order", "bytes"),
    ("last", "boolean"),
    ("key_change", "boolean"),
    ("unavailable", {"type": "array", "items": "string"}),
    ("unavailable_before", {"type": "array", "items": "string"}),
    ("verbatim", {"type": "map", "values": "string"}),
    ("verbatim_before", {"type": "map", "values": "string"}),
)


def envelope_schema(table: TableSchema, topic: str) -> dict[str, Any]:
    """Return the Avro schema of the events of a table version, as JSON.

    Raises ContractError for a connector or a type that the contract does not have.
    """
    namespace = avro_namespace(topic)
    row = _row_schema(table, namespace)
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": namespace,
        "fields": [
            _optional("before", row),
            _optional("after", f"{namespace}.Value"),
            {"name": "source", "type": source_schema(table.connector)},
            _optional("transaction", TRANSACTION_SCHEMA),
            {"name": "op", "type": "string"},
            _optional("ts_ms", "long"),
            _optional("ts_us", "long"),
            *(_optional(name, avro) for name, avro in _OURS),
        ],
        "connect.name": f"{namespace}.Envelope",
        "connect.version": _ENVELOPE_VERSION,
        "ferryman.contract": CONTRACT_VERSION,
        "ferryman.connector": table.connector,
        "ferryman.database": table.database,
        "ferryman.namespace": table.namespace,
        "ferryman.table": table.name,
        **({} if table.comment is None else {"ferryman.comment": table.comment}),
    }


def key_schema(table: TableSchema, topic: str) -> dict[str, Any] | None:
    """Return the Avro schema of a table's message keys; None for a table without a key."""
    if table.keyless:
        return None
    records = Records()
    return _key_record(table, topic, [bare_type(table.columns[i].type.kind, records) for i in table.key])


def verbatim_key_schema(table: TableSchema, topic: str) -> dict[str, Any]:
    """Return the schema of keys with a verbatim value: each column may be its type or the source's own text.

    Keys stay different for different values: one that all its types can hold never uses this schema.
    """
    records = Records()
    types = [bare_type(table.columns[i].type.kind, records) for i in table.key]
    return _key_record(table, topic, [avro if avro == "string" else [avro, "string"] for avro in types])


def field_names(table: TableSchema) -> tuple[str, ...]:
    """Return the Avro names of a table's columns, in order."""
    return tuple(avro_name(column.name) for column in table.columns)


def row_fields(envelope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of the record that ``before`` and ``after`` share; raises ContractError without one."""
    try:
        before = next(field for field in envelope["fields"] if field["name"] == "before")
        record = next(branch for branch in before["type"] if branch != "null")
        fields: list[dict[str, Any]] = record["fields"]
    except (KeyError, StopIteration, TypeError) as error:
        raise ContractError("a schema that is no change event's") from error
    return fields


def table_schema(envelope: dict[str, Any]) -> TableSchema:
    """Return the table version of which :func:`envelope_schema` made ``envelope``: its exact inverse.

    Raises ContractError for anything that is no envelope of this contract.
    """
    fields = row_fields(envelope)
    if envelope.get("ferryman.contract") != CONTRACT_VERSION:
        raise ContractError(f"an event schema of contract {envelope.get('ferryman.contract')}, not {CONTRACT_VERSION}")
    try:
        return TableSchema(
            namespace=expect(envelope["ferryman.namespace"], str),
            name=expect(envelope["ferryman.table"], str),
            columns=tuple(_column(field) for field in fields),
            connector=expect(envelope["ferryman.connector"], str),
            database=expect(envelope["ferryman.database"], str),
            comment=expect(envelope.get("ferryman.comment"), str, NoneType),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"an event schema that cannot be read: {type(error).__name__}") from error


def column_branch(field: dict[str, Any]) -> tuple[Any, int]:
    """Return the type of a column's values and the place of ``null`` in its union (1 where there is a default)."""
    union = field["type"]
    if not isinstance(union, list) or len(union) != 2 or "null" not in union:
        raise ContractError("a column's type must be a union of null and one other")
    null = union.index("null")
    return union[1 - null], null


def _row_schema(table: TableSchema, namespace: str) -> dict[str, Any]:
    records = Records()
    return {
        "type": "record",
        "name": "Value",
        "namespace": namespace,
        "fields": [_field(column, records) for column in table.columns],
        "connect.name": f"{namespace}.Value",
    }


def _key_record(table: TableSchema, topic: str, types: list[Any]) -> dict[str, Any]:
    names = [avro_name(table.columns[i].name) for i in table.key]
    fields = [{"name": name, "type": avro} for name, avro in zip(names, types, strict=True)]
    return {"type": "record", "name": "Key", "namespace": avro_namespace(topic), "fields": fields}


def _optional(name: str, avro: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", avro], "default": None}


def _field(column: Column, records: Records) -> dict[str, Any]:
    """Return a column's field. A default belongs to the first branch of a union, so it comes before ``null``."""
    source = _source_properties(column)
    avro = avro_type(column.type, _connect_parameters(source), records)
    default = None if column.missing is None else avro_default(column.type, column.missing)
    return {
        "name": avro_name(column.name),
        "type": ["null", avro] if default is None else [avro, "null"],
        "default": default,
        **source,
        **type_properties(column.type),
        **_column_properties(column),
    }


def _source_properties(column: Column) -> dict[str, str]:
    words = {
        "type": column.source_type or None,
        "length": column.length,
        "scale": column.scale,
        "name": column.name,
        "comment": column.comment,
    }
    return {_SOURCE_COLUMN + name: str(value) for name, value in words.items() if value is not None}


def _connect_parameters(source: dict[str, str]) -> dict[str, str]:
    """Return the source's words as Debezium's sink reads them: it knows types in capitals."""
    type_name = _SOURCE_COLUMN + "type"
    return {name: value.upper() if name == type_name else value for name, value in source.items()}


def _column_properties(column: Column) -> dict[str, Any]:
    properties = {
        "ferryman.target": column.target_type,
        "ferryman.fallback": column.fallback_type,
        "ferryman.nullable": column.nullable,
        "ferryman.key": column.key_position,
        "ferryman.identity": column.identity,
        "ferryman.missing": column.missing,
    }
    return {name: value for name, value in properties.items() if value is not None}


def _column(field: dict[str, Any]) -> Column:
    length, scale = field.get(_SOURCE_COLUMN + "length"), field.get(_SOURCE_COLUMN + "scale")
    return Column(
        name=expect(field[_SOURCE_COLUMN + "name"], str),
        type=value_type(column_branch(field)[0], field),
        nullable=expect(field["ferryman.nullable"], bool),
        source_type=expect(field.get(_SOURCE_COLUMN + "type", ""), str),
        target_type=expect(field["ferryman.target"], str),
        fallback_type=expect(field["ferryman.fallback"], str),
        length=None if length is None else int(length),
        scale=None if scale is None else int(scale),
        key_position=expect(field.get("ferryman.key"), int, NoneType),
        identity=expect(field["ferryman.identity"], bool),
        missing=expect(field.get("ferryman.missing"), str, NoneType),
        comment=expect(field.get(_SOURCE_COLUMN + "comment"), str, NoneType),
    )
