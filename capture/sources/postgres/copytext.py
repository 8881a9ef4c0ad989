r"""COPY text as the server writes it, back into values. Pure.

Source: PostgreSQL documentation, COPY, "Text Format". One line a row, tabs between values, ``\N`` for NULL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: COPY TO writes these escapes and no others; a backslash before any other character means that character.
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_MEANING: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def parse(lines: Iterable[bytes]) -> Iterator[tuple[bytes | None, ...]]:
    """Yield the values of each line (with its line feed): the very bytes that the stream would send."""
    for line in lines:
        values = line[:-1].split(b"\t")
        if b"\\" in line:
            yield tuple([_value(v) if b"\\" in v else v for v in values])
        else:
            yield tuple(values)


def _value(text: bytes) -> bytes | None:
    if text == rb"\N":
        return None
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[bytes]) -> bytes:
    character = found.group(1)
    return _MEANING.get(character, character)
