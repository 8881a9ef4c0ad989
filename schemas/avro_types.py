"""How each kind of value is written as an Avro type, and read back from one.

Sources: Confluent AvroData (``connect.*`` properties), Debezium "Data type mappings" (semantic types). The
``io.debezium.*`` types stay plain Avro types with a ``connect.name``; only Decimal has an Avro logical type.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from schemas.errors import ContractError
from schemas.table import Kind, ValueType

#: Avro's own name of the record that every VARIABLE_DECIMAL column shares.
VARIABLE_DECIMAL_RECORD: Final = Kind.VARIABLE_DECIMAL.value
#: What AvroData writes where a decimal's precision is unknown.
_DEFAULT_PRECISION: Final = 64

_AVRO_PRIMITIVE: Final = {
    Kind.BOOLEAN: "boolean",
    Kind.INT16: "int",
    Kind.INT32: "int",
    Kind.INT64: "long",
    Kind.FLOAT32: "float",
    Kind.FLOAT64: "double",
    Kind.STRING: "string",
    Kind.BYTES: "bytes",
    Kind.DECIMAL: "bytes",
    Kind.DATE: "int",
    Kind.MICRO_TIME: "long",
    Kind.ZONED_TIME: "string",
    Kind.MICRO_TIMESTAMP: "long",
    Kind.ZONED_TIMESTAMP: "string",
    Kind.INTERVAL: "string",
    Kind.JSON: "string",
    Kind.XML: "string",
    Kind.UUID: "string",
    Kind.ENUM: "string",
    Kind.BITS: "bytes",
    Kind.LTREE: "string",
    Kind.TSVECTOR: "string",
}
_PLAIN: Final = {"boolean": Kind.BOOLEAN, "int": Kind.INT32, "long": Kind.INT64, "float": Kind.FLOAT32,
                 "double": Kind.FLOAT64, "string": Kind.STRING, "bytes": Kind.BYTES}  # fmt: skip
_SEMANTIC: Final = {kind.value: kind for kind in Kind if "." in kind.value}
_CONNECT_TYPE: Final = {Kind.INT16: "int16"}


@dataclass(slots=True)
class Records:
    """Remembers which named records a schema has defined: Avro allows one definition, then only the name."""

    variable_decimal: bool = False


def avro_primitive(kind: Kind) -> str | None:
    """Return the Avro primitive that carries a kind; None for VARIABLE_DECIMAL, which is a record."""
    return _AVRO_PRIMITIVE.get(kind)


def bare_type(kind: Kind, records: Records) -> Any:
    """Return the Avro type of a kind with names and Avro types only, as message keys need it."""
    primitive = avro_primitive(kind)
    if primitive is not None:
        return primitive
    if records.variable_decimal:
        return VARIABLE_DECIMAL_RECORD
    records.variable_decimal = True
    namespace, _, name = VARIABLE_DECIMAL_RECORD.rpartition(".")
    fields = [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}]
    return {"type": "record", "name": name, "namespace": namespace, "fields": fields}


def avro_type(value_type: ValueType, source_parameters: dict[str, str], records: Records) -> Any:
    """Return the Avro type of a column with everything that AvroData and Debezium say of it.

    ``source_parameters`` are the ``__debezium.source.column.*`` of the column; they become Connect parameters,
    except on the shared record, which belongs to no single column.
    """
    kind = value_type.kind
    bare = bare_type(kind, records)
    if kind is Kind.VARIABLE_DECIMAL:
        return bare if isinstance(bare, str) else bare | _connect_name(kind)
    parameters = _connect_parameters(value_type) | source_parameters
    return (
        {"type": bare}
        | (_connect_name(kind) if kind in _SEMANTIC.values() else {})
        | ({"connect.type": _CONNECT_TYPE[kind]} if kind in _CONNECT_TYPE else {})
        | ({"connect.parameters": parameters} if parameters else {})
        | (_logical_decimal(value_type) if kind is Kind.DECIMAL else {})
    )


def type_properties(value_type: ValueType) -> dict[str, Any]:
    """Return what a value type has beyond its kind, exactly, as properties of the column's field."""
    exact = {
        "ferryman.precision": value_type.precision,
        "ferryman.scale": value_type.scale,
        "ferryman.length": value_type.length,
        "ferryman.allowed": list(value_type.allowed) or None,
    }
    return {name: value for name, value in exact.items() if value is not None}


def expect(value: Any, *types: type) -> Any:
    """Return a property that has one of these types; raises TypeError, so that no odd one becomes part of a table."""
    if type(value) not in types:
        raise TypeError("a property of another type")
    return value


def value_type(avro: Any, field: dict[str, Any]) -> ValueType:
    """Return the value type that :func:`avro_type` and :func:`type_properties` wrote.

    Raises ContractError for a type that is not in the vocabulary, TypeError for a parameter of another type.
    """
    return ValueType(
        kind=_kind(avro),
        precision=expect(field.get("ferryman.precision"), int, NoneType),
        scale=expect(field.get("ferryman.scale"), int, NoneType),
        length=expect(field.get("ferryman.length"), int, NoneType),
        allowed=tuple(expect(label, str) for label in expect(field.get("ferryman.allowed", []), list)),
    )


def _kind(avro: Any) -> Kind:
    properties = {"type": avro, "connect.name": avro} if isinstance(avro, str) else avro
    name = properties.get("connect.name")
    if name in _SEMANTIC:
        return _SEMANTIC[name]
    if properties.get("connect.type") == "int16":
        return Kind.INT16
    kind = _PLAIN.get(properties["type"]) if isinstance(properties["type"], str) else None
    if kind is None or (name is not None and name != avro):
        raise ContractError(f"the contract has no value type {name or properties['type']!r}")
    return kind


def _connect_name(kind: Kind) -> dict[str, Any]:
    return {"connect.name": kind.value, "connect.version": 1}


def _connect_parameters(value_type: ValueType) -> dict[str, str]:
    if value_type.kind is Kind.DECIMAL:
        decimal = _logical_decimal(value_type)
        return {"scale": str(decimal["scale"]), "connect.decimal.precision": str(decimal["precision"])}
    if value_type.kind is Kind.BITS and value_type.length is not None:
        return {"length": str(value_type.length)}
    if value_type.kind is Kind.ENUM:
        return {"allowed": ",".join(value_type.allowed)}
    return {}


def _logical_decimal(value_type: ValueType) -> dict[str, Any]:
    """Return the logical type; Avro wants 0 <= scale <= precision and precision > 0, whatever the source says."""
    scale = value_type.scale or 0
    if scale < 0:
        raise ContractError("Avro has no decimals of negative scale")
    precision = max(value_type.precision or _DEFAULT_PRECISION, scale, 1)
    return {"logicalType": "decimal", "precision": precision, "scale": scale}
