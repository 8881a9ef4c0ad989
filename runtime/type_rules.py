"""Which type a column may have in the target instead of its own, so that no value is altered on the way. Pure.

A rule changes the type of the target's column and nothing else: values travel as ever, and the target's own input
reads their text. So only such pairs are admitted in which that input takes a value exactly or refuses it (the table is
then blocked, with the reason), and never rounds, cuts or shortens one: those of :data:`ADMITTED`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from runtime.type_names import TypeName, canonical, parse, spelled
from schemas.table import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.table import Column

_WHOLE: Final = frozenset({Kind.INT16, Kind.INT32, Kind.INT64})
_INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
_TIMESTAMPS: Final = frozenset({"timestamp without time zone", "timestamp with time zone"})
#: Fractional digits of seconds where none are given.
_MICROSECONDS: Final = 6

#: Types under which equal keys stay equal and others stay others, with the text that they have at the source.
_FOR_KEYS: Final = frozenset({*_INTEGERS, "numeric", "text", "character varying"})


class Wanted(NamedTuple):
    """What a rule asks for. ``utc``: timestamps without a zone are in UTC."""

    type: TypeName
    utc: bool = False


def _is_whole(column: Column) -> bool:
    kind, scale = column.type.kind, column.type.scale or 0
    return kind in _WHOLE or (kind is Kind.DECIMAL and scale == 0)


def _integer(column: Column, _wanted: Wanted) -> bool:
    return _is_whole(column)


def _numeric(column: Column, wanted: Wanted) -> bool:
    """Another scale would round, or write zeros that the source has not."""
    if not wanted.type.modifiers:
        return _is_whole(column) or column.type.kind in (Kind.DECIMAL, Kind.VARIABLE_DECIMAL)
    scale = (*wanted.type.modifiers, 0)[1]
    return (_is_whole(column) and scale == 0) or (column.type.kind is Kind.DECIMAL and column.type.scale == scale)


def _boolean(column: Column, _wanted: Wanted) -> bool:
    """PostgreSQL reads 0 and 1 as truth values and refuses every other number."""
    return column.type.kind in _WHOLE or (column.type.kind is Kind.BITS and column.type.length == 1)


def _real(column: Column, _wanted: Wanted) -> bool:
    return column.type.kind is Kind.INT16


def _double(column: Column, _wanted: Wanted) -> bool:
    return column.type.kind in (Kind.INT16, Kind.INT32, Kind.FLOAT32)


_AS_TEXT: Final = frozenset(
    {*_WHOLE, Kind.DECIMAL, Kind.STRING, Kind.ENUM, Kind.JSON, Kind.UUID, Kind.DATE, Kind.MICRO_TIMESTAMP}
)


def _text(column: Column, _wanted: Wanted) -> bool:
    return column.type.kind in _AS_TEXT


def _limited(column: Column, wanted: Wanted) -> bool:
    """A shorter limit would cut spaces off the end without a word."""
    if not wanted.type.modifiers:
        return _text(column, wanted)
    return column.type.kind is Kind.STRING and column.length is not None and column.length <= wanted.type.modifiers[0]


def _from_text(*kinds: Kind) -> Callable[[Column, Wanted], bool]:
    return lambda column, _wanted: column.type.kind in kinds


def _timestamp(own: Kind, other: Kind) -> Callable[[Column, Wanted], bool]:
    """Fewer digits would round; between the two types, somebody must say that times without a zone are in UTC."""

    def admitted(column: Column, wanted: Wanted) -> bool:
        digits = (*parse(column.target_type).modifiers, _MICROSECONDS)[0]
        exact = (*wanted.type.modifiers, _MICROSECONDS)[0] >= digits
        return exact and (column.type.kind is own or (column.type.kind is other and wanted.utc))

    return admitted


#: By type in the target: which columns may have it, and in words which those are.
ADMITTED: Final[dict[str, tuple[Callable[[Column, Wanted], bool], str]]] = {
    **dict.fromkeys(_INTEGERS, (_integer, "whole numbers")),
    "numeric": (_numeric, "whole numbers, and decimals of the same scale"),
    "boolean": (_boolean, "whole numbers and bit(1)"),
    "real": (_real, "whole numbers of 16 bits"),
    "double precision": (_double, "whole numbers of 32 bits, and real"),
    "text": (_text, "whole numbers, decimals, text, enums, JSON, UUIDs, dates, and timestamps without a zone"),
    "character varying": (_limited, "what text takes; with a length, text with a limit that is no longer"),
    "json": (_from_text(Kind.STRING, Kind.JSON), "text and JSON"),
    "jsonb": (_from_text(Kind.STRING, Kind.JSON), "text and JSON"),
    "uuid": (_from_text(Kind.STRING, Kind.UUID), "text"),
    "inet": (_from_text(Kind.STRING), "text"),
    "citext": (_from_text(Kind.STRING, Kind.ENUM), "text and enums"),
    "timestamp without time zone": (
        _timestamp(Kind.MICRO_TIMESTAMP, Kind.ZONED_TIMESTAMP),
        "timestamps with no more digits; those with a zone if the rule says `zone: UTC`",
    ),
    "timestamp with time zone": (
        _timestamp(Kind.ZONED_TIMESTAMP, Kind.MICRO_TIMESTAMP),
        "timestamps with no more digits; those without a zone if the rule says `zone: UTC`",
    ),
}
#: For types that somebody made at the target, `<schema>.<name>`.
_MADE: Final = (_from_text(Kind.ENUM), "enums")


def is_known(wanted: TypeName) -> bool:
    """Whether a rule may give this type at all: one of ours, or one that somebody made, with its schema."""
    return wanted.base in ADMITTED or "." in wanted.base


def has_zone_choice(wanted: TypeName) -> bool:
    """Whether the type is one for which a rule may say in which zone times without one are."""
    return wanted.base in _TIMESTAMPS


def refusal(column: Column, wanted: Wanted) -> str | None:
    """Return why a column may not have the type that a rule gives it; None when it may."""
    admitted, words = ADMITTED.get(wanted.type.base, _MADE)
    kind = column.source_type.lower() or column.type.kind.value
    if not admitted(column, wanted):
        return f"column {column.name} is {kind}; {spelled(wanted.type)} takes {words}"
    if column.key_position is not None and wanted.type.base not in _FOR_KEYS and "." not in wanted.type.base:
        return f"column {column.name} is part of the key, and {spelled(wanted.type)} may take different keys for one"
    if column.key_position is not None and column.type.kind is Kind.MICRO_TIMESTAMP:
        return f"column {column.name} is part of the key, and timestamps have more than one text"
    return None


# --- the source's types -----------------------------------------------------------------------------------------------

#: Names that mean the same type, however people, PostgreSQL's catalog and MySQL's spell it.
_SAME: Final = {
    "dec": "numeric", "float4": "real", "double": "double precision",
    "bpchar": "char", "character": "char", "character varying": "varchar", "bit varying": "varbit",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
    "time without time zone": "time", "time with time zone": "timetz",
}  # fmt: skip

#: MySQL's and MariaDB's types, as a rule may name them.
MYSQL_TYPES: Final = frozenset(
    {"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "dec", "float", "double"}
    | {"bit", "year", "date", "time", "datetime", "timestamp", "char", "varchar", "binary", "varbinary", "enum", "set"}
    | {"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "json", "vector"}
    | {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}
    | {"geometrycollection", "uuid", "inet4", "inet6", "double precision"}
)
_UNSIGNED: Final = " unsigned"
#: MySQL's numbers whose width in parentheses is for display, and not in the log.
_DISPLAYED: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"})


def source_name(text: str) -> TypeName:
    """Return a source's type as a rule or a column names it, in one spelling."""
    given = parse(" ".join(text.lower().split()))
    base, unsigned = given.base.removesuffix(_UNSIGNED), given.base.endswith(_UNSIGNED)
    found = canonical(spelled(TypeName(base, given.modifiers)))
    name = _SAME.get(base, _SAME.get(found.base, found.base))
    return TypeName(f"{name}{_UNSIGNED if unsigned else ''}", found.modifiers)


def is_of(column: Column, wanted: TypeName) -> bool:
    """Whether a column has this type at the source; without modifiers those of the column do not matter."""
    sizes = tuple(n for n in (column.length, column.scale) if n is not None)
    own = sizes or parse(column.target_type).modifiers
    return source_name(column.source_type).base == wanted.base and wanted.modifiers in ((), own)


def no_type_of_mysql(text: str) -> str | None:
    """Return why no column of MySQL or MariaDB is ever of this type; None when one may be."""
    found = parse(" ".join(text.lower().split()))
    base = found.base.removesuffix(_UNSIGNED)
    if base not in MYSQL_TYPES:
        return f"{text!r} is no type of MySQL"
    if found.modifiers and base in _DISPLAYED:
        return f"the width in {text!r} is for display: the log does not have it"
    return None
