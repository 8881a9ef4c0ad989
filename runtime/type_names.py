"""Names of PostgreSQL's types, taken apart and put together as ``format_type`` spells them. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SPELLING: Final = re.compile(r"([^()\[\]]+?)\s*(?:\(([\d\s,-]+)\))?(\s[^()\[\]]*)?((?:\[\])*)")

#: What people write, and what the server makes of it.
_ALIASES: Final = {
    "bool": "boolean",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "decimal": "numeric",
    "varchar": "character varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


class TypeName(NamedTuple):
    """A type's name without its modifiers, and the modifiers."""

    base: str
    modifiers: tuple[int, ...] = ()


def parse(spelling: str) -> TypeName:
    """Return the parts of a type as PostgreSQL's ``format_type`` spells it (``timestamp(3) without time zone``)."""
    found = _SPELLING.fullmatch(spelling.strip())
    if found is None:
        return TypeName(spelling)
    name, modifiers, rest, array = found.groups()
    numbers = tuple(int(n) for n in modifiers.split(",")) if modifiers else ()
    return TypeName(f"{name}{rest or ''}{array}", numbers)


def canonical(text: str) -> TypeName:
    """Return the parts of a type as a person spells it: ``timestamptz(3)``, ``INT8``, ``numeric(10)``."""
    found = parse(" ".join(text.split()))
    base = found.base if '"' in text else found.base.lower()
    base, modifiers = _ALIASES.get(base, base), found.modifiers
    return TypeName(base, (*modifiers, 0) if base == "numeric" and len(modifiers) == 1 else modifiers)


def spelled(name: TypeName) -> str:
    """Return a type as ``format_type`` spells it: the inverse of :func:`parse`."""
    if not name.modifiers:
        return name.base
    first, space, rest = name.base.partition(" ") if name.base.startswith("time") else (name.base, "", "")
    return f"{first}({','.join(map(str, name.modifiers))}){space}{rest}"
