"""What a table looks like at one version: its columns, their types as carried, its key."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """The closed vocabulary of value types that travel.

    The value is the Connect semantic name (``connect.name``) or, for plain types, the Avro type.
    Source: Debezium documentation, "Data type mappings"; Confluent AvroData for the plain ones.
    """

    BOOLEAN = "boolean"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float"
    FLOAT64 = "double"
    STRING = "string"
    BYTES = "bytes"
    DECIMAL = "org.apache.kafka.connect.data.Decimal"
    VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
    DATE = "io.debezium.time.Date"
    MICRO_TIME = "io.debezium.time.MicroTime"
    ZONED_TIME = "io.debezium.time.ZonedTime"
    MICRO_TIMESTAMP = "io.debezium.time.MicroTimestamp"
    ZONED_TIMESTAMP = "io.debezium.time.ZonedTimestamp"
    INTERVAL = "io.debezium.time.Interval"
    JSON = "io.debezium.data.Json"
    XML = "io.debezium.data.Xml"
    UUID = "io.debezium.data.Uuid"
    ENUM = "io.debezium.data.Enum"
    BITS = "io.debezium.data.Bits"
    LTREE = "io.debezium.data.Ltree"
    TSVECTOR = "io.debezium.data.Tsvector"


@dataclass(frozen=True, slots=True)
class ValueType:
    """How the values of a column travel: a kind and the parameters that the kind needs.

    ``precision`` and ``scale`` belong to DECIMAL (scale may not be negative: Avro forbids it),
    ``length`` to BITS (in bits), ``allowed`` to ENUM (labels in the source's order).
    """

    kind: Kind
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table version.

    ``source_type``, ``length`` and ``scale`` are the source's own words (``__debezium.source.column.*``);
    ``target_type`` is the PostgreSQL spelling of the type that holds every value of the column, and
    ``fallback_type`` one that exists on any PostgreSQL, for a target without the former (an enum, a domain).
    ``key_position`` counts from 1 within the message key; None: not part of it.
    ``identity`` says that the source sends the column's old value with every delete and key change.
    ``missing`` is the value, as the target's input text, that rows older than the column have (``attmissingval``).
    """

    name: str
    type: ValueType
    nullable: bool = True
    source_type: str = ""
    target_type: str = "text"
    fallback_type: str = "text"
    length: int | None = None
    scale: int | None = None
    key_position: int | None = None
    identity: bool = False
    missing: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One version of a table: everything that apply needs to make it and to fill it.

    ``namespace`` is the schema (PostgreSQL, Oracle) or database (MySQL, MongoDB) of the source.
    ``connector`` names the kind of source (``postgresql``, ``mysql``, ...), ``database`` the source's database.
    Two versions are equal exactly when their encoded events decode equally.
    """

    namespace: str
    name: str
    columns: tuple[Column, ...]
    connector: str = "postgresql"
    database: str = ""
    comment: str | None = None
    key: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        keyed = [(c.key_position, i) for i, c in enumerate(self.columns) if c.key_position is not None]
        object.__setattr__(self, "key", tuple(i for _, i in sorted(keyed)))

    @property
    def keyless(self) -> bool:
        """Whether rows are known by their full image only."""
        return not self.key

    @property
    def full_identity(self) -> bool:
        """Whether the source sends whole old rows (REPLICA IDENTITY FULL, FULL row image)."""
        return all(c.identity for c in self.columns)
