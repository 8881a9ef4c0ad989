"""What is known of a MySQL column, from the catalog or from the log: enough to read, carry and spell its values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class ColumnMeta:
    """A column as ``information_schema.COLUMNS`` or a TABLE_MAP_EVENT with full metadata describes it.

    ``data_type`` is DATA_TYPE in lower case. ``charset`` is set for text, ENUM and SET, and for nothing else (JSON is
    utf8mb4 by definition). ``length`` counts characters of CHAR and VARCHAR, bytes of BINARY and VARBINARY, bits of
    BIT, dimensions of VECTOR; ``precision`` and ``scale`` belong to DECIMAL, ``fsp`` (0 to 6) to types with a time.
    ``labels`` are the names of ENUM or SET in order. ``key_position`` counts from 1 within the primary key.

    What the log does not tell (:func:`refined` takes it from the catalog): ``column_type``, ``collation``,
    ``generated``, ``srid``, and that a column of bytes is MariaDB's UUID, INET4, INET6 or VECTOR.
    """

    name: str
    data_type: str
    column_type: str = ""
    charset: str | None = None
    collation: str | None = None
    unsigned: bool = False
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    fsp: int | None = None
    labels: tuple[str, ...] = ()
    nullable: bool = True
    generated: bool = False
    invisible: bool = False
    srid: int | None = None
    key_position: int | None = None


#: Most bytes that a character takes, by character set; the log gives lengths in bytes. All others take one.
CHARACTER_BYTES: Final = {
    "utf8mb4": 4, "utf8mb3": 3, "utf8": 3, "ucs2": 2, "utf16": 4, "utf16le": 4, "utf32": 4, "big5": 2, "gb2312": 2,
    "gbk": 2, "gb18030": 4, "sjis": 2, "cp932": 2, "euckr": 2, "ujis": 3, "eucjpms": 3,
}  # fmt: skip

#: Types of MariaDB that the log shows as plain bytes, and the length of those (None: any).
_AS_BYTES: Final[dict[str, tuple[str, int | None]]] = {
    "uuid": ("binary", 16),
    "inet6": ("binary", 16),
    "inet4": ("binary", 4),
    "vector": ("varbinary", None),
}


def refined(logged: Sequence[ColumnMeta], catalog: Sequence[ColumnMeta]) -> tuple[ColumnMeta, ...]:
    """Return the columns of the log with what only the catalog tells, where it speaks of the same column.

    The catalog may be ahead of the log. It is believed for a column of the same name that the log would show as it
    does; both then have the same bytes, so a mistake can change how a value is spelled, never which value it is.
    """
    known = {column.name: column for column in catalog}
    return tuple(_refined(column, known.get(column.name)) for column in logged)


def _refined(logged: ColumnMeta, known: ColumnMeta | None) -> ColumnMeta:
    if known is None:
        return logged
    told = replace(
        logged,
        column_type=known.column_type if known.data_type == logged.data_type else "",
        collation=known.collation if known.charset == logged.charset else None,
        generated=known.generated,
        srid=known.srid,
    )
    as_bytes = _AS_BYTES.get(known.data_type)
    if as_bytes is not None and as_bytes[0] == logged.data_type and as_bytes[1] in (None, logged.length):
        return replace(told, data_type=known.data_type, column_type=known.column_type, length=known.length)
    return told
