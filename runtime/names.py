"""PostgreSQL's spelling of names: quoted for SQL, or spelled as people read and write them. Pure."""

from __future__ import annotations

import re
from typing import Final

from runtime.errors import BadInput

#: Words that SQL does not take as a table's name unless they are quoted: the keywords that
#: ``pg_get_keywords()`` of PostgreSQL 13 to 18 calls reserved (R) or reserved except as function or type name (T).
_RESERVED_WORDS: Final = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
returning right select session_user similar some symmetric system_user table tablesample then to trailing true
union unique user using variadic verbose when where window with
"""
RESERVED: Final = frozenset(_RESERVED_WORDS.split())

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_PART = re.compile(r'"(?:[^"]|"")*"|[^".\s]+')


def quote(*parts: str) -> str:
    """Return names as one dotted SQL identifier, each quoted; raises BadInput for a name with a NUL."""
    if any("\0" in part for part in parts):
        raise BadInput("a name holds a NUL character, which PostgreSQL cannot store")
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def spell(namespace: str, name: str) -> str:
    """Return a table's name as people write it: ``public.flights``, ``public."Odd Name"``; see :func:`parse_name`."""
    return f"{_spell(namespace)}.{_spell(name)}"


def parse_name(text: str) -> tuple[str, str]:
    """Return (namespace, name) of a spelled name; an unquoted part is taken as it stands, capitals included.

    Raises BadInput unless the text is exactly two parts.
    """
    first = _PART.match(text)
    second = _PART.match(text, first.end() + 1) if first and text[first.end() : first.end() + 1] == "." else None
    if first is None or second is None or second.end() != len(text):
        raise BadInput(
            "this is not a table's name", visible(text), "write <schema>.<table>, odd names in double quotes"
        )
    return _unquote(first[0]), _unquote(second[0])


#: Control characters as ``\\n`` and the like, so that a name cannot forge a line of a log.
_VISIBLE: Final = {i: repr(chr(i))[1:-1] for i in (*range(32), 127, 0x85, 0x2028, 0x2029)}


def visible(text: str) -> str:
    """Return text with its control characters spelled out, for logs and messages."""
    return text.translate(_VISIBLE)


def _spell(part: str) -> str:
    return part if _PLAIN.fullmatch(part) and part not in RESERVED else quote(part)


def _unquote(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
