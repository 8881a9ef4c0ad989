"""MySQL and MariaDB types: what travels for a column of each, and what spells it on a PostgreSQL target. Pure.

Every value of the MySQL type fits the target's type, but for those that PostgreSQL has no place for: dates with a zero
part, and U+0000 in text (:mod:`capture.sources.mysql.values`). A column's type is made of what the log and the catalog
both tell, so that chunks and stream speak of the same table version.
Source: MySQL Reference Manual, "Data Types"; MariaDB Server Documentation, "Data Types".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.table import Column, Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.sources.mysql.row_images.column_meta import ColumnMeta

#: Digits of 18,446,744,073,709,551,615.
_UNSIGNED_64_DIGITS: Final = 20

#: MySQL has a shorter name for it than MariaDB and the log.
_ALIASES: Final = {"geomcollection": "geometrycollection"}

_Mapped = tuple[ValueType, str]


def column(meta: ColumnMeta) -> Column:
    """Return how the values of a column travel and are spelled; raises KeyError for a type that is not known."""
    value_type, target = _TYPES[meta.data_type](meta)
    length, scale = _size(meta)
    return Column(
        name=meta.name,
        type=value_type,
        nullable=meta.nullable,
        source_type=_source_type(meta),
        target_type=target,
        fallback_type="text" if meta.data_type == "vector" else target,
        length=length,
        scale=scale,
        key_position=meta.key_position,
        identity=True,
    )


def _source_type(meta: ColumnMeta) -> str:
    """Return the type's own name. The log has a sign for YEAR, which nobody declared."""
    name = _ALIASES.get(meta.data_type, meta.data_type).upper()
    return f"{name} UNSIGNED" if meta.unsigned and meta.data_type != "year" else name


def is_known(data_type: str) -> bool:
    """Whether columns of this type (DATA_TYPE in lower case) can be carried."""
    return data_type in _TYPES


def is_unmarked(meta: ColumnMeta) -> bool:
    """Whether the log does not say how large the column's values are: MariaDB's old times with fractions."""
    return bool(meta.fsp) and "mariadb-5.3" in meta.column_type


def _size(meta: ColumnMeta) -> tuple[int | None, int | None]:
    if meta.data_type == "decimal":
        return meta.precision, meta.scale
    return (meta.length, None) if meta.data_type in _SIZED else (None, None)


_SIZED: Final = frozenset({"char", "varchar", "binary", "varbinary", "bit", "vector"})


def _plain(kind: Kind, target: str) -> Callable[[ColumnMeta], _Mapped]:
    mapped = ValueType(kind), target
    return lambda _meta: mapped


def _integer(signed: _Mapped, unsigned: _Mapped) -> Callable[[ColumnMeta], _Mapped]:
    return lambda meta: unsigned if meta.unsigned else signed


def _decimal(meta: ColumnMeta) -> _Mapped:
    precision, scale = meta.precision or 10, meta.scale or 0
    return ValueType(Kind.DECIMAL, precision=precision, scale=scale), f"numeric({precision},{scale})"


def _limited(spelling: str) -> Callable[[ColumnMeta], _Mapped]:
    return lambda meta: (ValueType(Kind.STRING), f"{spelling}({meta.length})" if meta.length else "text")


def _bit(meta: ColumnMeta) -> _Mapped:
    length = meta.length or 1
    return ValueType(Kind.BITS, length=length), f"bit({length})"


def _datetime(meta: ColumnMeta) -> _Mapped:
    return ValueType(Kind.MICRO_TIMESTAMP), f"timestamp({meta.fsp or 0}) without time zone"


def _timestamp(meta: ColumnMeta) -> _Mapped:
    return ValueType(Kind.ZONED_TIMESTAMP), f"timestamp({meta.fsp or 0}) with time zone"


def _time(meta: ColumnMeta) -> _Mapped:
    return ValueType(Kind.INTERVAL), f"interval({meta.fsp or 0})"


def _enum(meta: ColumnMeta) -> _Mapped:
    """The catalog has a question mark for a character beyond 16 bits; then labels are not told at all."""
    told = all("?" not in label and max(label, default="") <= "\uffff" for label in meta.labels)
    return ValueType(Kind.ENUM, allowed=meta.labels if told else ()), "text"


def _vector(meta: ColumnMeta) -> _Mapped:
    return ValueType(Kind.STRING), f"vector({meta.length})" if meta.length else "vector"


_SMALL: Final = ValueType(Kind.INT16), "smallint"
_INTEGER: Final = ValueType(Kind.INT32), "integer"
_BIG: Final = ValueType(Kind.INT64), "bigint"
_UNSIGNED_64: Final = (
    ValueType(Kind.DECIMAL, precision=_UNSIGNED_64_DIGITS, scale=0),
    "numeric(20,0)",
)
_TEXT: Final = _plain(Kind.STRING, "text")
_BYTES: Final = _plain(Kind.BYTES, "bytea")

_TYPES: Final[dict[str, Callable[[ColumnMeta], _Mapped]]] = {
    "tinyint": _plain(Kind.INT16, "smallint"),
    "smallint": _integer(_SMALL, _INTEGER),
    "mediumint": _plain(Kind.INT32, "integer"),
    "int": _integer(_INTEGER, _BIG),
    "bigint": _integer(_BIG, _UNSIGNED_64),
    "decimal": _decimal,
    "float": _plain(Kind.FLOAT32, "real"),
    "double": _plain(Kind.FLOAT64, "double precision"),
    "bit": _bit,
    "year": _plain(Kind.INT16, "smallint"),
    "date": _plain(Kind.DATE, "date"),
    "time": _time,
    "datetime": _datetime,
    "timestamp": _timestamp,
    "char": _limited("character varying"),
    "varchar": _limited("character varying"),
    "tinytext": _TEXT, "text": _TEXT, "mediumtext": _TEXT, "longtext": _TEXT,
    "enum": _enum,
    "set": _TEXT,
    "json": _plain(Kind.JSON, "json"),
    "binary": _BYTES, "varbinary": _BYTES,
    "tinyblob": _BYTES, "blob": _BYTES, "mediumblob": _BYTES, "longblob": _BYTES,
    "geometry": _BYTES, "point": _BYTES, "linestring": _BYTES, "polygon": _BYTES, "multipoint": _BYTES,
    "multilinestring": _BYTES, "multipolygon": _BYTES, "geometrycollection": _BYTES, "geomcollection": _BYTES,
    "vector": _vector,
    "uuid": _plain(Kind.UUID, "uuid"),
    "inet4": _plain(Kind.STRING, "inet"),
    "inet6": _plain(Kind.STRING, "inet"),
}  # fmt: skip
