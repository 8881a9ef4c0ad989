"""Row events -> row images in source form, value by value. The reference for whatever does it faster. Pure.

Source: MySQL, ``libs/mysql/binlog/event/rows_event.h`` (``Rows_event``), ``sql/rpl_record.cc``; MariaDB,
``sql/log_event.h`` for the compressed events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from capture.sources.mysql.row_images import compressed, forms
from capture.sources.mysql.row_images.wire import fixed_size, length_size
from schemas.block import UNSENT, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from capture.sources.mysql.row_images.forms import Form
    from capture.sources.mysql.row_images.table_map import TableMap
    from schemas.block import Row, Value

#: The operation of each row event by its type.
ROW_EVENTS: Final = {
    23: Op.CREATE, 24: Op.UPDATE, 25: Op.DELETE,
    30: Op.CREATE, 31: Op.UPDATE, 32: Op.DELETE,
    166: Op.CREATE, 167: Op.UPDATE, 168: Op.DELETE,
    169: Op.CREATE, 170: Op.UPDATE, 171: Op.DELETE,
    39: Op.UPDATE,
}  # fmt: skip
#: Those of version 2, which have extra data behind their flags.
_VERSION_2: Final = frozenset({30, 31, 32, 39, 169, 170, 171})
_COMPRESSED: Final = frozenset({166, 167, 168, 169, 170, 171})
#: Updates whose new images may have differences of JSON values: PARTIAL_UPDATE_ROWS.
_PARTIAL: Final = 39
_STATEMENT_END: Final = 1
_CUT_OFF: Final = "a row image that does not end with its event"
_PACKED_BYTES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}


class RowsError(Exception):
    """A row event that cannot be read; says why, without values."""


class RowEvent(NamedTuple):
    """The head of a row event, and its row images.

    ``present`` and ``present_after`` tell which columns the old (or only) and the new images have. ``statement_end``
    says that the table ids in use are over with this event. ``partial``: each new image has which of its JSON values
    are differences in front of it; only :mod:`capture.sources.mysql.row_images.splitting` reads those.
    """

    table_id: int
    op: Op
    statement_end: bool
    width: int
    present: bytes
    present_after: bytes
    images: bytes
    partial: bool = False

    @property
    def complete(self) -> bool:
        """Whether every image has every column (``binlog_row_image = FULL``)."""
        return _all_present(self.width, self.present, self.present_after)


@lru_cache(1_000)
def _all_present(width: int, present: bytes, present_after: bytes) -> bool:
    everything = (1 << width) - 1
    both = int.from_bytes(present, "little") & int.from_bytes(present_after, "little")
    return both & everything == everything


class Change(NamedTuple):
    """One row of an event; a column that an image lacks is UNSENT."""

    before: Row | None
    after: Row | None


def table_id_of(body: bytes) -> int:
    """Return the table id of a row event, of its bytes behind the header."""
    return int.from_bytes(body[:6], "little")


def event(kind: int, body: bytes) -> RowEvent:
    """Read the bytes of a row event behind its 19-byte header, without checksum; raises RowsError."""
    op = ROW_EVENTS.get(kind)
    if op is None:
        raise RowsError(f"row events of type {kind} cannot be read")
    try:
        return _event(kind, op, body)
    except (IndexError, KeyError, ValueError) as error:
        raise RowsError(f"a row event that cannot be read ({type(error).__name__})") from None


def _event(kind: int, op: Op, body: bytes) -> RowEvent:
    at = 8
    if kind in _VERSION_2:
        at += int.from_bytes(body[8:10], "little")
    width, at = packed(body, at)
    size = (width + 7) // 8
    present, at = body[at : at + size], at + size
    after = present
    if op is Op.UPDATE:
        after, at = body[at : at + size], at + size
    images = body[at:]
    if kind in _COMPRESSED:
        images = compressed.rows(images)
    flags = int.from_bytes(body[6:8], "little")
    return RowEvent(
        table_id_of(body), op, bool(flags & _STATEMENT_END), width, present, after, images, kind == _PARTIAL
    )


def packed(data: bytes, at: int) -> tuple[int, int]:
    """Return a length-encoded integer and where it ends; raises IndexError or KeyError."""
    first = data[at]
    if first < 0xFB:
        return first, at + 1
    end = at + 1 + _PACKED_BYTES[first]
    return int.from_bytes(data[at + 1 : end], "little"), end


@dataclass(frozen=True, slots=True)
class _Field:
    """How a column's values stand in an image: a fixed size, or None and the bytes of the length before each."""

    size: int | None
    lengths: int
    form: Form | None


def decoder(table: TableMap, columns: Sequence[ColumnMeta] | None = None) -> Callable[[RowEvent], list[Change]]:
    """Return what reads the rows of a table's events.

    ``columns`` are the table's, refined by the catalog; default: those of the log. The function raises RowsError for
    images that do not fit the table, and :class:`~capture.sources.mysql.row_images.forms.UnreadableValue`.
    """
    fields = _fields(table, columns)

    def decode(found: RowEvent) -> list[Change]:
        if found.width != len(fields) or found.partial:
            raise RowsError("a row event of another width than its table map, or of another kind")
        try:
            return list(_changes(found, fields))
        except IndexError:
            raise RowsError(_CUT_OFF) from None

    return decode


def row_reader(table: TableMap, columns: Sequence[ColumnMeta] | None = None) -> Callable[[bytes], Change]:
    """Return what reads one row, as :mod:`.splitting` splits it: its operation and complete images.

    Arguments and errors are those of :func:`decoder`.
    """
    fields = _fields(table, columns)
    everything = list(enumerate(fields))

    def read(row: bytes) -> Change:
        op = Op(chr(row[0]))
        first, at = _image(row, 1, everything, len(fields))
        second = None
        if op is Op.UPDATE:
            second, at = _image(row, at, everything, len(fields))
        if at != len(row):
            raise RowsError(_CUT_OFF)
        if op is Op.CREATE:
            return Change(None, first)
        return Change(first, second)

    return read


def _fields(table: TableMap, columns: Sequence[ColumnMeta] | None) -> list[_Field]:
    metas = table.columns if columns is None else columns
    return [
        _Field(fixed_size(wire), length_size(wire), forms.reader(wire, meta))
        for wire, meta in zip(table.wires, metas, strict=True)
    ]


def _changes(found: RowEvent, fields: list[_Field]) -> list[Change]:
    old, new = _columns(found.present, fields), _columns(found.present_after, fields)
    images, at, out = found.images, 0, []
    while at < len(images):
        first, at = _image(images, at, old, len(fields))
        if found.op is Op.UPDATE:
            second, at = _image(images, at, new, len(fields))
            out.append(Change(first, second))
        else:
            out.append(Change(None, first) if found.op is Op.CREATE else Change(first, None))
    if at > len(images):
        raise RowsError(_CUT_OFF)
    return out


def _columns(present: bytes, fields: list[_Field]) -> list[tuple[int, _Field]]:
    bits = int.from_bytes(present, "little")
    return [(i, field) for i, field in enumerate(fields) if bits >> i & 1]


def _image(data: bytes, at: int, columns: list[tuple[int, _Field]], width: int) -> tuple[Row, int]:
    """Read an image: a bit for each column present that is null, then the values that are not."""
    size = (len(columns) + 7) // 8
    nulls = int.from_bytes(data[at : at + size], "little")
    at += size
    row: list[Value] = [UNSENT] * width
    for place, (i, field) in enumerate(columns):
        if nulls >> place & 1:
            row[i] = None
            continue
        end = at + field.lengths if field.size is None else at
        length = int.from_bytes(data[at:end], "little") if field.size is None else field.size
        at = end + length
        if at > len(data):
            raise RowsError(_CUT_OFF)
        value = data[end:at]
        row[i] = value if field.form is None else field.form(value)
    return tuple(row), at
