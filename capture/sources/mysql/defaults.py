"""What rows that are older than a column have in it: its default, where that is a constant. Pure.

An added column's value in the rows that were there comes with no event. It travels with the table's version, as the
text that the target's type takes. Source: MySQL Reference Manual and MariaDB Documentation, "Information Schema COLUMNS
Table": MySQL has a constant as it is, MariaDB as it would be written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from capture.sources.mysql.row_images.column_meta import ColumnMeta

_INTEGERS: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_TEXTS: Final = frozenset({"char", "varchar", "enum", "set"})
_NUMERAL: Final = re.compile(r"-?\d+(\.\d+)?")
_DATE: Final = re.compile(r"(?!0000)\d{4}-(?!00)\d\d-(?!00)\d\d")
_QUOTED: Final = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPES: Final = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}


class Unknown(Exception):
    """Older rows have a value that the catalog does not tell exactly."""


def older_rows_have(meta: ColumnMeta, default: str | None, extra: str, *, mariadb: bool) -> str | None:
    """Return the value that rows older than a column have in it, as the target's text; None: they have NULL.

    ``default`` and ``extra`` are the catalog's. Raises Unknown.
    """
    extra = extra.lower()
    if meta.generated or "auto_increment" in extra or "default_generated" in extra:
        raise Unknown
    constant = _mariadb(default) if mariadb else default
    if constant is not None:
        return _text(meta, constant)
    if not meta.nullable:
        raise Unknown  # some zero, or the empty text
    return None


def _text(meta: ColumnMeta, constant: str) -> str:
    if meta.data_type in _INTEGERS or meta.data_type == "decimal":
        known = _NUMERAL.fullmatch(constant)
    elif meta.data_type == "date":
        known = _DATE.fullmatch(constant)
    else:
        known = re.fullmatch(r"[^\0]*", constant) if meta.data_type in _TEXTS else None
    if known is None:
        raise Unknown
    return constant


def _mariadb(default: str | None) -> str | None:
    """Return a constant out of its SQL; raises Unknown for an expression."""
    if default is None or default.upper() == "NULL":
        return None
    quoted = _QUOTED.fullmatch(default)
    if quoted is not None:
        return re.sub(r"''|\\(.)", _unescaped, quoted[1], flags=re.DOTALL)
    if _NUMERAL.fullmatch(default) is None:
        raise Unknown
    return default


def _unescaped(found: re.Match[str]) -> str:
    return "'" if found[0] == "''" else _ESCAPES.get(found[1], found[1])
