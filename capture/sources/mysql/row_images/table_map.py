"""TABLE_MAP_EVENT: which columns the row events that follow have, and how their values stand there. Pure.

With ``binlog_row_metadata = FULL`` the event names the columns, their character sets, signs, labels and the primary
key, so that nothing has to be asked of a catalog that may be ahead of the log.
Source: MySQL, ``libs/mysql/binlog/event/rows_event.h`` (``Table_map_event``), ``sql/log_event.cc``
(``Table_map_log_event::init_metadata_fields``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from capture.sources.mysql.row_images import charsets
from capture.sources.mysql.row_images.column_meta import CHARACTER_BYTES, ColumnMeta
from capture.sources.mysql.row_images.wire import Wire, WireType, wires

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What gives :func:`read` its ``collations``, id to character set. MariaDB has all ids in another view than MySQL.
_COLLATIONS: Final = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS"
_COLLATIONS_OF_MANY: Final = (
    "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
)
#: From here on a collation of MariaDB may belong to several character sets, under a number for each.
_MANY: Final = (10, 10)

_BINARY: Final = "binary"


def collations_query(version: tuple[int, ...], *, mariadb: bool) -> str:
    """Return what asks a server for the character set of each collation by its number."""
    return _COLLATIONS_OF_MANY if mariadb and version >= _MANY else _COLLATIONS


class TableMapError(Exception):
    """The event cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class TableMap:
    """A table as row events refer to it. ``wires`` and ``columns`` have an entry for each column.

    ``full`` says that the log names the columns; without it (``binlog_row_metadata`` is not FULL) ``columns`` is empty.
    """

    table_id: int
    database: str
    table: str
    wires: tuple[Wire, ...]
    columns: tuple[ColumnMeta, ...]

    @property
    def full(self) -> bool:
        """Whether the event had full metadata."""
        return len(self.columns) == len(self.wires)


class _Reader:
    """Bytes read one thing after the other; raises IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise IndexError
        out = self._data[self._at : end]
        self._at = end
        return out

    def packed(self) -> int:
        """Read a length-encoded integer."""
        first = self.take(1)[0]
        return first if first < 0xFB else int.from_bytes(self.take(_PACKED_BYTES[first]), "little")

    def text(self) -> bytes:
        """Read bytes behind their length-encoded length."""
        return self.take(self.packed())

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


_PACKED_BYTES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def name_of(body: bytes) -> tuple[str, str]:
    """Return the database and name of an event's table."""
    table = 8 + 1 + body[8] + 1
    return body[9 : table - 1].decode(), body[table + 1 : table + 1 + body[table]].decode()


def read(body: bytes, collations: Mapping[int, str], *, mariadb: bool) -> TableMap:
    """Read the event's bytes behind its 19-byte header, without checksum; ``collations``: character set by id.

    MariaDB and MySQL do not count the same columns among text.
    Raises TableMapError for a column type or a collation that is not known, and for bytes that are no such event.
    """
    try:
        return _read(_Reader(body), collations, _TEXTUAL | _TEXTUAL_ON[mariadb])
    except TableMapError:
        raise
    except (IndexError, KeyError, ValueError) as error:
        raise TableMapError(f"a table map that cannot be read ({type(error).__name__})") from None


def _read(body: _Reader, collations: Mapping[int, str], textual: frozenset[WireType]) -> TableMap:
    table_id = int.from_bytes(body.take(6), "little")
    body.take(2)  # flags
    database = body.take(body.take(1)[0]).decode()
    body.take(1)
    table = body.take(body.take(1)[0]).decode()
    body.take(1)
    types = body.take(body.packed())
    found = wires(types, body.text())
    nullable = _bits_up(body.take((len(types) + 7) // 8))
    optional = _optional(body)
    columns: tuple[ColumnMeta, ...] = ()
    if optional.names:
        columns = _columns(found, list(nullable), optional, _charsets(found, optional, collations, textual))
    return TableMap(table_id, database, table, found, columns)


# --- the optional metadata --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Optional:
    """The optional fields. Lists count the columns of the kind that they are about, collations as numbers."""

    signs: bytes = b""
    names: list[bytes] = field(default_factory=list)
    text_default: dict[int, int] = field(default_factory=dict)
    text: list[int] = field(default_factory=list)
    label_default: dict[int, int] = field(default_factory=dict)
    label: list[int] = field(default_factory=list)
    sets: list[list[bytes]] = field(default_factory=list)
    enums: list[list[bytes]] = field(default_factory=list)
    geometries: list[int] = field(default_factory=list)
    key: list[int] = field(default_factory=list)
    visible: bytes = b""
    dimensions: list[int] = field(default_factory=list)


#: The default collation's place among the exceptions from it.
_DEFAULT: Final = -1


def _optional(body: _Reader) -> _Optional:
    """Read the fields; those that a newer server has beside them are passed over."""
    found = _Optional()
    while body:
        known = _FIELDS.get(body.take(1)[0])
        content = _Reader(body.text())
        if known is not None:
            name, read_content = known
            setattr(found, name, read_content(content))
    return found


def _default_and_exceptions(content: _Reader) -> dict[int, int]:
    numbers = [_DEFAULT, *_packed(content)]
    return dict(zip(numbers[::2], numbers[1::2], strict=True))


def _texts(content: _Reader) -> list[bytes]:
    out = []
    while content:
        out.append(content.text())
    return out


def _rest(content: _Reader) -> bytes:
    return content.rest()


def _packed(content: _Reader) -> list[int]:
    out = []
    while content:
        out.append(content.packed())
    return out


def _label_lists(content: _Reader) -> list[list[bytes]]:
    out = []
    while content:
        out.append([content.text() for _ in range(content.packed())])
    return out


#: What an optional field is, by its number: the attribute that holds it, and what reads it.
_FIELDS: Final[dict[int, tuple[str, Callable[[_Reader], object]]]] = {
    1: ("signs", _rest),
    2: ("text_default", _default_and_exceptions),
    3: ("text", _packed),
    4: ("names", _texts),
    5: ("sets", _label_lists),
    6: ("enums", _label_lists),
    7: ("geometries", _packed),
    8: ("key", _packed),
    9: ("key", lambda content: _packed(content)[::2]),  # pairs of column and length of its prefix
    10: ("label_default", _default_and_exceptions),
    11: ("label", _packed),
    12: ("visible", _rest),
    13: ("dimensions", _packed),
}


def _bits_up(data: bytes) -> Iterator[bool]:
    """Yield bits, the lowest of each byte first, as bitmaps of columns have them."""
    return (bool(byte >> i & 1) for byte in data for i in range(8))


def _bits_down(data: bytes) -> Iterator[bool]:
    """Yield bits, the highest of each byte first, as optional fields have them."""
    return (bool(byte >> i & 1) for byte in data for i in range(7, -1, -1))


# --- columns ----------------------------------------------------------------------------------------------------------

_NUMERIC: Final = frozenset(
    {
        WireType.TINY, WireType.SHORT, WireType.INT24, WireType.LONG, WireType.LONGLONG, WireType.NEWDECIMAL,
        WireType.FLOAT, WireType.DOUBLE, WireType.YEAR,
    }
)  # fmt: skip
#: Columns with a collation in the log, be it that of bytes.
_TEXTUAL: Final = frozenset(
    {
        WireType.STRING, WireType.VAR_STRING, WireType.VARCHAR, WireType.BLOB, WireType.VARCHAR_COMPRESSED,
        WireType.BLOB_COMPRESSED,
    }
)  # fmt: skip
#: What MySQL (False) and MariaDB (True) count besides.
_TEXTUAL_ON: Final = {False: frozenset({WireType.VECTOR}), True: frozenset({WireType.GEOMETRY})}
_LABELLED: Final = frozenset({WireType.ENUM, WireType.SET})

_DATA_TYPES: Final = {
    WireType.TINY: "tinyint", WireType.SHORT: "smallint", WireType.INT24: "mediumint", WireType.LONG: "int",
    WireType.LONGLONG: "bigint", WireType.FLOAT: "float", WireType.DOUBLE: "double", WireType.NEWDECIMAL: "decimal",
    WireType.YEAR: "year", WireType.DATE: "date", WireType.NEWDATE: "date", WireType.TIME: "time",
    WireType.TIME2: "time", WireType.DATETIME: "datetime", WireType.DATETIME2: "datetime",
    WireType.TIMESTAMP: "timestamp", WireType.TIMESTAMP2: "timestamp", WireType.BIT: "bit", WireType.JSON: "json",
    WireType.ENUM: "enum", WireType.SET: "set", WireType.VECTOR: "vector",
}  # fmt: skip
#: By the bytes of a length.
_TEXTS: Final = (None, "tinytext", "text", "mediumtext", "longtext")
_BLOBS: Final = (None, "tinyblob", "blob", "mediumblob", "longblob")
_GEOMETRIES: Final = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection"
)  # fmt: skip
_FRACTIONAL: Final = {WireType.TIME2, WireType.DATETIME2, WireType.TIMESTAMP2}
_WHOLE_SECONDS: Final = {WireType.TIME, WireType.DATETIME, WireType.TIMESTAMP}


def _columns(
    found: tuple[Wire, ...], nullable: list[bool], optional: _Optional, charsets_of: list[str | None]
) -> tuple[ColumnMeta, ...]:
    labels = _labels(found, optional)
    signs, shown = _bits_down(optional.signs), _bits_down(optional.visible)
    geometries, dimensions = iter(optional.geometries), iter(optional.dimensions)
    columns = []
    for i, (wire, name) in enumerate(zip(found, optional.names, strict=True)):
        meta = _described(wire, ColumnMeta(name.decode(), "", nullable=nullable[i]), charsets_of[i])
        if wire.type in _NUMERIC:
            meta = replace(meta, unsigned=next(signs))
        elif wire.type in _LABELLED:
            meta = replace(meta, labels=_decoded(labels[i], meta.charset or _BINARY))
        elif wire.type is WireType.GEOMETRY:
            meta = replace(meta, data_type=_GEOMETRIES[next(geometries)])
        elif wire.type is WireType.VECTOR:
            meta = replace(meta, length=next(dimensions, None))
        columns.append(replace(meta, invisible=bool(optional.visible) and not next(shown)))
    for position, i in enumerate(optional.key, 1):
        columns[i] = replace(columns[i], key_position=position)
    return tuple(columns)


def _described(wire: Wire, meta: ColumnMeta, charset: str | None) -> ColumnMeta:
    """Return a column with the type, character set and sizes that its wire type tells."""
    text = None if charset in (None, _BINARY) else charset
    match wire.type:
        case WireType.STRING | WireType.VARCHAR | WireType.VAR_STRING | WireType.VARCHAR_COMPRESSED:
            fixed = wire.type is WireType.STRING
            name = ("char" if fixed else "varchar") if text else ("binary" if fixed else "varbinary")
            size = wire.size - (wire.type is WireType.VARCHAR_COMPRESSED)  # with the header of a compressed value
            return replace(meta, data_type=name, charset=text, length=size // CHARACTER_BYTES.get(text or "", 1))
        case WireType.BLOB | WireType.BLOB_COMPRESSED:
            return replace(meta, data_type=(_TEXTS if text else _BLOBS)[wire.size] or "", charset=text)
        case WireType.GEOMETRY:
            return meta
        case WireType.VECTOR:
            return replace(meta, data_type="vector")
        case WireType.NEWDECIMAL:
            return replace(meta, data_type="decimal", precision=wire.size, scale=wire.scale)
        case _:
            length = wire.size if wire.type is WireType.BIT else None
            fsp = wire.size if wire.type in _FRACTIONAL else 0 if wire.type in _WHOLE_SECONDS else None
            return replace(meta, data_type=_DATA_TYPES[wire.type], charset=charset, length=length, fsp=fsp)


def _charsets(
    found: tuple[Wire, ...], optional: _Optional, collations: Mapping[int, str], textual: frozenset[WireType]
) -> list[str | None]:
    """Return the character set of each column that has one."""
    text = _collations(found, textual, optional.text, optional.text_default)
    labelled = _collations(found, _LABELLED, optional.label, optional.label_default)
    out: list[str | None] = []
    for i in range(len(found)):
        collation = text.get(i, labelled.get(i))
        if collation is None:
            out.append(None)
            continue
        charset = collations.get(collation)
        if charset is None:
            raise TableMapError(f"column {optional.names[i].decode()}: unknown collation {collation}")
        if charset != _BINARY and not charsets.is_known(charset):
            raise TableMapError(f"column {optional.names[i].decode()}: unknown character set {charset}")
        out.append("utf8mb3" if charset == "utf8" else charset)
    return out


def _collations(
    found: tuple[Wire, ...], kinds: frozenset[WireType], each: list[int], default: dict[int, int]
) -> dict[int, int]:
    """Return the collation of each column of these kinds, by its place."""
    places = [i for i, wire in enumerate(found) if wire.type in kinds]
    if each:
        return dict(zip(places, each, strict=True))
    if not default:
        return {}
    return {i: default.get(number, default[_DEFAULT]) for number, i in enumerate(places)}


def _labels(found: tuple[Wire, ...], optional: _Optional) -> dict[int, list[bytes]]:
    lists = {WireType.SET: iter(optional.sets), WireType.ENUM: iter(optional.enums)}
    return {i: next(lists[wire.type]) for i, wire in enumerate(found) if wire.type in _LABELLED}


def _decoded(labels: list[bytes], charset: str) -> tuple[str, ...]:
    decode = None if charset == _BINARY else charsets.decoder(charset)
    return tuple((label if decode is None else decode(label)).decode() for label in labels)
