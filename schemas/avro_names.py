"""Names that Avro allows, made from any name, a different one for each. Legal names stay as they are.

Source: Apache Avro specification, "Names": ``[A-Za-z_][A-Za-z0-9_]*``, parts joined by dots.
"""

from __future__ import annotations

import re
import string
from typing import Final

_START: Final = frozenset(string.ascii_letters + "_")
_REST: Final = _START | frozenset(string.digits)
_ESCAPE: Final = re.compile("_x[0-9a-f]*_")


def avro_name(name: str) -> str:
    """Return ``name`` with every illegal character written as ``_x<hexadecimal code point>_``.

    An underscore is written so too where it would otherwise begin what looks like an escape: that is what makes the
    result unique. The name is built from its end, because only what follows an underscore can make it look so.
    """
    if not name:
        return "_x_"
    result = ""
    for index in range(len(name) - 1, -1, -1):
        character = name[index]
        legal = character in (_REST if index else _START)
        if character == "_" and _ESCAPE.match("_" + result):
            legal = False
        result = (character if legal else f"_x{ord(character):x}_") + result
    return result


def avro_namespace(topic: str) -> str:
    """Return the Avro namespace of a topic's records: its parts, each made legal."""
    return ".".join(avro_name(part) for part in topic.split("."))
