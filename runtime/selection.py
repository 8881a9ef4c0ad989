"""Which tables a pipeline carries: patterns of names, include beside exclude. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: One piece of a pattern: quoted text stands for itself, unquoted text may hold ``*`` and ``?``.
_PIECE = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^".\s]+)|(?P<dot>\.)')

#: What :func:`parse` says to do.
SPELLING: Final = 'write <schema>.<table>, with * and ? as wildcards and odd names in double quotes: public."Odd Name"'

#: The same of :func:`parse_column`.
COLUMN_SPELLING: Final = "write <schema>.<table>.<column>, with * and ? as wildcards: shop.*.is_*"


@dataclass(frozen=True)
class TablePattern:
    """A pattern ``<schema>.<table>``; compares case-sensitively, as the catalog spells names.

    ``schema`` is the one schema that it means, or None if that part has wildcards.
    """

    text: str
    schema: str | None
    namespace: re.Pattern[str]
    name: re.Pattern[str]

    def matches(self, namespace: str, name: str) -> bool:
        """Whether a table is meant."""
        return bool(self.namespace.fullmatch(namespace) and self.name.fullmatch(name))


@dataclass(frozen=True)
class ColumnPattern:
    """A pattern ``<schema>.<table>.<column>``; compares like :class:`TablePattern`."""

    text: str
    namespace: re.Pattern[str]
    name: re.Pattern[str]
    column: re.Pattern[str]

    def matches(self, namespace: str, name: str, column: str) -> bool:
        """Whether a column is meant."""
        of_table = self.namespace.fullmatch(namespace) and self.name.fullmatch(name)
        return bool(of_table and self.column.fullmatch(column))


def parse(text: str) -> TablePattern:
    """Return the pattern of a text; raises ValueError, saying why, unless it is exactly two parts."""
    parts = _parts(text, 2, "<schema>.<table>")
    return TablePattern(text, _literal(parts[0]), _regex(parts[0]), _regex(parts[1]))


def parse_column(text: str) -> ColumnPattern:
    """Return the pattern of a text; raises ValueError, saying why, unless it is exactly three parts."""
    parts = _parts(text, 3, "<schema>.<table>.<column>")
    return ColumnPattern(text, *map(_regex, parts))


def _parts(text: str, count: int, spelling: str) -> list[list[re.Match[str]]]:
    parts: list[list[re.Match[str]]] = [[]]
    start = 0
    while start < len(text):
        piece = _PIECE.match(text, start)
        if piece is None:
            raise ValueError(f"cannot read {text[start:]!r}")
        if piece["dot"]:
            parts.append([])
        else:
            parts[-1].append(piece)
        start = piece.end()
    if len(parts) != count or not all(parts):
        raise ValueError(f"{text!r} is not {spelling}")
    return parts


def _literal(pieces: list[re.Match[str]]) -> str | None:
    if any(piece["plain"] and set(piece["plain"]) & set(_WILD) for piece in pieces):
        return None
    return "".join(piece["plain"] or _unquote(piece) for piece in pieces)


def _regex(pieces: list[re.Match[str]]) -> re.Pattern[str]:
    return re.compile("".join(map(_piece_regex, pieces)), re.DOTALL)


def _piece_regex(piece: re.Match[str]) -> str:
    if piece["quoted"] is not None:
        return re.escape(_unquote(piece))
    return "".join(_WILD.get(character) or re.escape(character) for character in piece["plain"])


def _unquote(piece: re.Match[str]) -> str:
    return piece["quoted"].replace('""', '"')


_WILD: Final = {"*": ".*", "?": "."}
