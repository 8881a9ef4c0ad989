"""Which tables a pipeline carries: patterns of names, include beside exclude. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: One piece of a pattern: quoted text stands for itself, unquoted text may hold ``*`` and ``?``.
_PIECE = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^".\s]+)|(?P<dot>\.)')

#: What :func:`parse` says to do.
SPELLING: Final = 'write <schema>.<table>, with * and ? as wildcards and odd names in double quotes: public."Odd Name"'


@dataclass(frozen=True)
class TablePattern:
    """A pattern ``<schema>.<table>``; compares case-sensitively, as the catalog spells names."""

    text: str
    namespace: re.Pattern[str]
    name: re.Pattern[str]

    def matches(self, namespace: str, name: str) -> bool:
        """Whether a table is meant."""
        return bool(self.namespace.fullmatch(namespace) and self.name.fullmatch(name))


def parse(text: str) -> TablePattern:
    """Return the pattern of a text; raises ValueError, saying why, unless it is exactly two parts."""
    parts, start = [""], 0
    while start < len(text):
        piece = _PIECE.match(text, start)
        if piece is None:
            raise ValueError(f"cannot read {text[start:]!r}" if start else f"cannot read {text!r}")
        if piece["dot"]:
            parts.append("")
        else:
            parts[-1] += _regex(piece)
        start = piece.end()
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"{text!r} is not <schema>.<table>")
    return TablePattern(text, *(re.compile(part, re.DOTALL) for part in parts))


def _regex(piece: re.Match[str]) -> str:
    if piece["quoted"] is not None:
        return "(?:" + re.escape(piece["quoted"].replace('""', '"')) + ")"
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(character) or re.escape(character) for character in piece["plain"])
