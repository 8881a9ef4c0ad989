"""Message keys: the key columns of a row, so that every change of a row has the same key bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.avro import key_schema, verbatim_key_schema
from schemas.avro_types import Records, bare_type
from schemas.binary import MISFIT, write_string, writers
from schemas.block import UNSENT
from schemas.errors import ContractError
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.binary import Writer
    from schemas.block import Row
    from schemas.table import TableSchema

_ITS_TYPE = b"\x00"
_TEXT = b"\x02"


#: Stores a schema under a subject durably and returns the frame of what is written with it.
Register = Callable[[str, dict[str, Any]], bytes]


class _KeyColumn(NamedTuple):
    place: int
    name: str
    is_text: bool
    convert: Callable[[bytes], object]
    write: Writer


class KeyEncoder:
    """Writes the keys of one table version under its two key schemas, which ``register`` stores.

    The second one, for keys with a verbatim value, is stored when the first of them comes: few tables have any.
    """

    def __init__(
        self, table: TableSchema, topic: str, converters: Sequence[Callable[[bytes], object]], register: Register
    ) -> None:
        records = Records()
        types = [bare_type(table.columns[i].type.kind, records) for i in table.key]
        self._columns = [
            _KeyColumn(i, table.columns[i].name, avro == "string", converters[i], write)
            for i, avro, write in zip(table.key, types, writers(types), strict=True)
        ]
        schema = key_schema(table, topic)
        self._frame = b"" if schema is None else register(f"{topic}-key", schema)
        self._verbatim_frame: Callable[[], bytes] = cache(
            lambda: register(f"{topic}-key", verbatim_key_schema(table, topic))
        )

    def encode(self, row: Row | None, other: Row | None = None) -> bytes | None:
        """Return the key of a row, or None for a table without one.

        A key column that ``row`` lacks (unchanged and stored out of line) is taken from ``other``. Raises
        ContractError where neither has it, or it is NULL.
        """
        if not self._columns:
            return None
        parts = [self._frame]
        for column in self._columns:
            value = self._value(column, row, other)
            if type(value) is Verbatim and not column.is_text:
                return self._encode_verbatim(row, other)
            parts.append(_part(column, value))
        return b"".join(parts)

    def _encode_verbatim(self, row: Row | None, other: Row | None) -> bytes:
        parts = [_verbatim_part(column, self._value(column, row, other)) for column in self._columns]
        return self._verbatim_frame() + b"".join(parts)

    def _value(self, column: _KeyColumn, row: Row | None, other: Row | None) -> object:
        value = UNSENT if row is None else row[column.place]
        if value is UNSENT and other is not None:
            value = other[column.place]
        if value is None or value is UNSENT:
            raise ContractError(f"key column {column.name}: the row has no value of it")
        try:
            return column.convert(value)
        except MISFIT:
            raise _misfit(column) from None


def _part(column: _KeyColumn, value: object) -> bytes:
    try:
        return column.write(value)
    except MISFIT:
        raise _misfit(column) from None


def _verbatim_part(column: _KeyColumn, value: object) -> bytes:
    """Return one column under the schema whose columns are unions of their type and text."""
    if column.is_text:
        return _part(column, value)
    if type(value) is Verbatim:
        return _TEXT + write_string(value)
    return _ITS_TYPE + _part(column, value)


def _misfit(column: _KeyColumn) -> ContractError:
    return ContractError(f"key column {column.name}: a value that its type cannot hold")
