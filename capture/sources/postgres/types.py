"""PostgreSQL types: what travels for a column of each, and what spells it on a target. Pure.

Source: PostgreSQL documentation, "Data Types"; type modifiers as `pg_type.h` and the types' typmodout functions
define them. How the values themselves are converted is in :mod:`capture.sources.postgres.values`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from collections.abc import Callable

#: Oids from here on belong to objects that users or extensions made: another server may lack them.
FIRST_USER_OID: Final = 16_384

#: Types whose values name what one server has (a table, a role), or whose input reads nothing: elsewhere they are text.
_TEXT_ELSEWHERE: Final = frozenset({
    "regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper", "regoperator",
    "regproc", "regprocedure", "regrole", "regtype", "aclitem",
    "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list",
})  # fmt: skip

#: varchar, char and numeric store their modifier behind four bytes that once were a length word.
_HEADER: Final = 4


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What the catalog says of one (type oid, modifier) pair.

    ``spelling`` is ``format_type``; the ``base_*`` fields describe the type below all domains (equal to the type
    itself when it is none). ``kind`` is ``pg_type.typtype`` of the base, ``labels`` its enum labels in order,
    ``user_defined`` whether the base, or the element type of the base, is not part of every PostgreSQL.
    """

    name: str
    spelling: str
    base_oid: int
    base_typmod: int
    base_name: str
    base_namespace: str
    base_spelling: str
    kind: str = "b"
    labels: tuple[str, ...] = ()
    user_defined: bool = False
    array: bool = False


#: A type that was dropped after the log spoke of it: its text still travels.
UNKNOWN_TYPE: Final = TypeFacts("unknown", "text", 0, -1, "unknown", "pg_catalog", "text")


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a column of a type travels and is spelled; the fields are those of :class:`schemas.table.Column`."""

    type: ValueType
    source_type: str
    target_type: str
    fallback_type: str
    length: int | None
    scale: int | None


def mapping(facts: TypeFacts) -> Mapping:
    """Return how the values of a type travel."""
    length, scale = _size(facts)
    fallback = _fallback(facts)
    return Mapping(
        type=_value_type(facts),
        source_type=facts.name.upper(),
        target_type=fallback if _is_text_elsewhere(facts) else facts.spelling,
        fallback_type=fallback,
        length=length,
        scale=scale,
    )


def _value_type(facts: TypeFacts) -> ValueType:
    if facts.kind == "e":
        return ValueType(Kind.ENUM, allowed=facts.labels)
    if facts.base_namespace == "pg_catalog":
        build = _BUILT_IN.get(facts.base_name)
        return build(facts.base_typmod) if build else ValueType(Kind.STRING)
    # Extensions live in any schema; their types are known by name.
    return ValueType(_EXTENSION.get(facts.base_name, Kind.STRING) if facts.kind == "b" else Kind.STRING)


def _is_text_elsewhere(facts: TypeFacts) -> bool:
    return facts.base_namespace == "pg_catalog" and facts.base_name.removeprefix("_") in _TEXT_ELSEWHERE


def _fallback(facts: TypeFacts) -> str:
    if not facts.user_defined and not _is_text_elsewhere(facts):
        return facts.base_spelling
    return "text[]" if facts.array else "text"


def _size(facts: TypeFacts) -> tuple[int | None, int | None]:
    """Return the length (or precision) and scale that the column was declared with."""
    typmod = facts.base_typmod
    if typmod < 0 or facts.base_namespace != "pg_catalog":
        return None, None
    if facts.base_name in {"varchar", "bpchar"}:
        return typmod - _HEADER, None
    if facts.base_name in {"bit", "varbit"}:
        return typmod, None
    if facts.base_name == "numeric":
        return numeric_size(typmod)
    return None, None


def numeric_size(typmod: int) -> tuple[int, int]:
    """Return precision and scale of a numeric modifier; the scale is an 11-bit number with a sign since 15."""
    packed = typmod - _HEADER
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def _numeric(typmod: int) -> ValueType:
    if typmod < 0:
        return ValueType(Kind.VARIABLE_DECIMAL)
    precision, scale = numeric_size(typmod)
    if not 0 <= scale <= precision:  # legal since PostgreSQL 15, but no Avro decimal
        return ValueType(Kind.VARIABLE_DECIMAL)
    return ValueType(Kind.DECIMAL, precision=precision, scale=scale)


def _bit(typmod: int) -> ValueType:
    # Without a modifier (a view's or function's result made into a table) lengths differ from row to row.
    return ValueType(Kind.BITS, length=typmod) if typmod > 0 else ValueType(Kind.STRING)


def _plain(kind: Kind) -> Callable[[int], ValueType]:
    value_type = ValueType(kind)
    return lambda _typmod: value_type


_BUILT_IN: Final[dict[str, Callable[[int], ValueType]]] = {
    "bool": _plain(Kind.BOOLEAN),
    "int2": _plain(Kind.INT16),
    "int4": _plain(Kind.INT32),
    "int8": _plain(Kind.INT64),
    "oid": _plain(Kind.INT64),
    "float4": _plain(Kind.FLOAT32),
    "float8": _plain(Kind.FLOAT64),
    "numeric": _numeric,
    "bytea": _plain(Kind.BYTES),
    "date": _plain(Kind.DATE),
    "time": _plain(Kind.MICRO_TIME),
    "timetz": _plain(Kind.ZONED_TIME),
    "timestamp": _plain(Kind.MICRO_TIMESTAMP),
    "timestamptz": _plain(Kind.ZONED_TIMESTAMP),
    "interval": _plain(Kind.INTERVAL),
    "json": _plain(Kind.JSON),
    "jsonb": _plain(Kind.JSON),
    "uuid": _plain(Kind.UUID),
    "xml": _plain(Kind.XML),
    "bit": _bit,
    "tsvector": _plain(Kind.TSVECTOR),
}

_EXTENSION: Final = {"ltree": Kind.LTREE}


def keeps_values(old: TypeFacts, new: TypeFacts) -> bool:
    """Whether ALTER TYPE between the two leaves the text of every stored value as it was.

    Anything else may have rewritten rows, and a rewrite puts nothing into the log. A USING expression can do so for
    these pairs too: capture.sources.postgres.rewrites tells of it, but for integers.
    """
    if (old.base_oid, old.base_typmod) == (new.base_oid, new.base_typmod):
        return True
    if {old.base_namespace, new.base_namespace} != {"pg_catalog"}:
        return False
    names = (old.base_name, new.base_name)
    if names == ("numeric", "numeric"):
        return _numeric_keeps(old.base_typmod, new.base_typmod)
    if names[0] == names[1] and names[0] in _LIMITED:
        return new.base_typmod < 0 or 0 <= old.base_typmod <= new.base_typmod
    return names in _WIDER


def _numeric_keeps(old: int, new: int) -> bool:
    if new < 0:
        return True
    if old < 0:
        return False
    (old_precision, old_scale), (new_precision, new_scale) = numeric_size(old), numeric_size(new)
    return new_scale == old_scale and new_precision >= old_precision


_WIDER: Final = {("int2", "int4"), ("int2", "int8"), ("int4", "int8"), ("varchar", "text")}
#: Types whose modifier is a longest length or a finest precision: a larger one changes nothing that is stored.
_LIMITED: Final = {"varchar", "varbit", "time", "timetz", "timestamp", "timestamptz"}
