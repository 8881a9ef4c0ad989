"""The columns of a SELECT that reads rows for ferryman, and literals for its conditions. Pure.

The session must be in UTC (``time_zone = '+00:00'``), speak utf8mb4 (``SET NAMES utf8mb4``) and have no
``PAD_CHAR_TO_FULL_LENGTH`` in its ``sql_mode``. Every value then comes in the text protocol as
:func:`capture.sources.mysql.row_images.forms.selected` takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from capture.sources.mysql.row_images.column_meta import ColumnMeta

#: Character sets whose text the protocol carries unchanged; others are asked for as bytes.
_AS_IT_IS: Final = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})
_NUMERALS: Final = frozenset(b"0123456789+-.eE")
_NUMERIC: Final = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"})
_BYTES: Final = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_SIGN: Final = 1 << 63
#: MariaDB's types whose text is made here, from their bytes: text, and how many.
_FIXED_BYTES: Final = {"uuid": 16, "inet6": 16, "inet4": 4}


def quoted(name: str) -> str:
    """Return an identifier between backticks, those inside doubled."""
    return f"`{name.replace('`', '``')}`"


def select_list(columns: Iterable[ColumnMeta]) -> str:
    """Return the expressions that read these columns, in their order."""
    return ", ".join(_expression(column) for column in columns)


def _expression(column: ColumnMeta) -> str:
    name = quoted(column.name)
    if column.data_type in ("float", "double"):
        return f"{name} * 1e0"  # as a double, whose text is exact; FLOAT has six digits, DOUBLE(M,D) has D
    if column.data_type in _NUMERIC:
        return f"{name} + 0" if "zerofill" in column.column_type.lower() else name
    if column.data_type in _FIXED_BYTES:
        return f"CAST({name} AS BINARY({_FIXED_BYTES[column.data_type]}))"
    if column.charset is not None and column.charset not in _AS_IT_IS:
        return f"CAST({name} AS BINARY)"  # its own bytes: the server would write ? for what it cannot convert
    return name


def literal(column: ColumnMeta, value: bytes) -> str:
    """Return a value in source form as SQL that compares with the column; raises ValueError for no number."""
    if column.data_type in _NUMERIC:
        if not value or not _NUMERALS.issuperset(value):
            raise ValueError(f"column {column.name}: no number")
        number = value.decode()
        return f"{number}e0" if column.data_type in ("float", "double") and "e" not in number else number
    if column.data_type in ("enum", "set"):
        return _number_of(column, value.decode())
    if column.data_type == "bit":
        return f"CAST(0x{value.hex()} AS UNSIGNED)"
    if column.data_type in _BYTES:
        return f"x'{value.hex()}'"
    return f"_utf8mb4 x'{value.hex()}'"


def _number_of(column: ColumnMeta, names: str) -> str:
    """Return the number of a name or of a set of names: as such they are ordered, and stand in an index."""
    if not names and "" not in column.labels:
        return "0"
    try:
        if column.data_type == "enum":
            return str(column.labels.index(names) + 1)
        members = sum(1 << column.labels.index(name) for name in names.split(","))
        return str(members if members < _SIGN else members - 2 * _SIGN)  # the server counts them with a sign
    except ValueError:  # the catalog writes ? for characters of four bytes
        return f"_utf8mb4 x'{names.encode().hex()}'"
