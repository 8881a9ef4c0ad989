"""Messages -> events, with values as apply's renderers make them. Trusts no byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.avro import column_branch, field_names, row_fields, table_schema
from schemas.binary import CORRUPT, read_long, reader, readers
from schemas.block import UNSENT, Op, Origin
from schemas.copy_text import escape
from schemas.errors import ContractError
from schemas.order import ORDER_KEY_BYTES
from schemas.received import Received
from schemas.table import Kind
from schemas.values import MAX_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.binary import Reader
    from schemas.block import Value
    from schemas.table import TableSchema, ValueType

    Renderer = Callable[[ValueType], Callable[[object], bytes]]

#: Also what a renderer may raise on a value that its target type cannot hold.
_UNREADABLE: Final = (*CORRUPT, ContractError, TypeError, KeyError, OverflowError, ArithmeticError)
_OPS: Final = {op.value: op for op in Op}
_ORIGINS: Final = {origin.value: origin for origin in Origin}
#: The images that an event may have: (before, after).
_IMAGES: Final = {
    Op.READ: {(False, True)},
    Op.CREATE: {(False, True), (True, True)},
    Op.UPDATE: {(False, True), (True, True)},
    Op.DELETE: {(True, False)},
    Op.TRUNCATE: {(False, False)},
}


#: The envelope's fields after the rows and ``source``, in groups that neighbouring events share or do not share.
_STAMP: Final = ("transaction", "op", "ts_ms", "ts_us")
_OF_THE_ROW: Final = ("order", "last", "key_change")
_LISTS: Final = ("unavailable", "unavailable_before", "verbatim", "verbatim_before")


class UnreadableEventError(ContractError):
    """An event that is not what its schema says. ``index`` is its place among the values given, ``offset`` Kafka's."""

    def __init__(self, index: int, offset: int, reason: str) -> None:
        super().__init__(f"the event at offset {offset} cannot be read: {reason}")
        self.index, self.offset = index, offset


class BlockDecoder:
    """Reads the events that one envelope schema wrote.

    ``renderer`` gives, for a value type, the function that makes the escaped COPY text of a value of
    :mod:`schemas.values`. Raises ContractError for a schema that is no envelope of this contract.
    """

    def __init__(self, envelope: dict[str, Any], renderer: Renderer) -> None:
        self.table = table_schema(envelope)
        self._rows = _RowReader(self.table, row_fields(envelope), renderer)
        types = _field_types(envelope)
        self._source = _remembering(reader(types["source"]))
        self._stamp = _remembering(_sequence([types[name] for name in _STAMP]))
        self._order, self._last, self._key_change = readers([types[name] for name in _OF_THE_ROW])
        self._lists = _remembering(_sequence([types[name] for name in _LISTS]))

    def decode(self, values: Sequence[bytes], offsets: Sequence[int], start: int = 0) -> Received:
        """Return the events of message values (no tombstones) at their Kafka offsets.

        ``start`` is where the Avro bytes of each value begin: the length of the frame, which all share. Raises
        UnreadableEventError at the first value that cannot be read.
        """
        received = Received(self.table)
        for index, value in enumerate(values):
            try:
                self._event(value, start, received)
            except _UNREADABLE as error:
                reason = str(error) if isinstance(error, ContractError) else type(error).__name__
                raise UnreadableEventError(index, offsets[index], reason) from None
        received.offsets.extend(offsets)
        return received

    def _event(self, data: bytes, at: int, received: Received) -> None:
        before, at = self._rows.read(data, at)
        after, at = self._rows.read(data, at)
        source, at = self._source(data, at)
        (_, op_text, _, _), at = self._stamp(data, at)
        order, at = self._order(data, at)
        last, at = self._last(data, at)
        key_change, at = self._key_change(data, at)
        (unavailable, unavailable_before, verbatim, verbatim_before), at = self._lists(data, at)
        op = _OPS[op_text]
        if at != len(data):
            raise ContractError("bytes follow its end")
        if (before is not None, after is not None) not in _IMAGES[op]:
            raise ContractError("it has row images that its operation cannot have")
        if order is None or len(order) != ORDER_KEY_BYTES or last is None or source["ts_us"] is None:
            raise ContractError("it has no order key, no end mark or no commit time")
        received.ops.append(op)
        received.before.append(self._rows.merge(before, unavailable_before, verbatim_before))
        received.after.append(self._rows.merge(after, unavailable, verbatim))
        received.orders.append(order)
        received.last.append(last)
        received.key_change.append(key_change is True)
        received.origins.append(_ORIGINS[source["snapshot"]])
        received.committed_us.append(source["ts_us"])


class _RowReader:
    """Reads row images of one table version."""

    def __init__(self, table: TableSchema, fields: list[dict[str, Any]], renderer: Renderer) -> None:
        self._places = {name: i for i, name in enumerate(field_names(table))}
        branches = [column_branch(field) for field in fields]
        renderers = [renderer(column.type) for column in table.columns]
        column_readers = [
            _scale_checked(read) if column.type.kind is Kind.VARIABLE_DECIMAL else read
            for column, read in zip(table.columns, readers([avro for avro, _ in branches]), strict=True)
        ]
        self._columns = [  # the bytes of a branch are 0 and 2: Avro's zig-zag of 0 and 1
            (null << 1, 2 - (null << 1), read, render)
            for (_, null), read, render in zip(branches, column_readers, renderers, strict=True)
        ]

    def read(self, data: bytes, at: int) -> tuple[list[Value] | None, int]:
        """Read a row image or its absence, each value rendered."""
        branch, at = read_long(data, at)
        if branch == 0:
            return None, at
        if branch != 1:
            raise ValueError("neither a row nor none")
        row: list[Value] = []
        for null, present, read, render in self._columns:
            branch = data[at]
            if branch == null:
                row.append(None)
                at += 1
            elif branch == present:
                value, at = read(data, at + 1)
                row.append(render(value))
            else:
                raise ValueError("neither a value nor null")
        return row, at

    def merge(
        self, row: list[Value] | None, unavailable: list[str] | None, verbatim: dict[str, str] | None
    ) -> tuple[Value, ...] | None:
        """Return a row with the columns that were not sent, or sent as text, in their places."""
        if row is None:
            if unavailable or verbatim:
                raise ContractError("columns of a row that it does not have")
            return None
        for name in unavailable or ():
            self._put(row, name, UNSENT)
        for name, text in (verbatim or {}).items():
            self._put(row, name, escape(text.encode()))
        return tuple(row)

    def _put(self, row: list[Value], name: str, value: Value) -> None:
        place = self._places.get(name)
        if place is None or row[place] is not None:
            raise ContractError("a column twice, or one that the table does not have")
        row[place] = value


def _field_types(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return the types of an envelope's fields by name; refuses fields that are not the contract's, in its order."""
    try:
        types = {field["name"]: field["type"] for field in envelope["fields"]}
        record = types["before"][1]
        row = f"{record['namespace']}.{record['name']}"
        if types["before"] != ["null", record] or types["after"] != ["null", row]:
            raise ContractError("an event schema whose before and after are not the same optional record")
    except (KeyError, IndexError, TypeError) as error:
        raise ContractError("an event schema whose fields cannot be read") from error
    if tuple(types) != ("before", "after", "source", *_STAMP, *_OF_THE_ROW, *_LISTS):
        raise ContractError("an event schema with other fields than the contract's")
    return types


def _sequence(types: Sequence[Any]) -> Reader:
    """Return a reader of values that follow one another, as a list."""
    in_turn = readers(types)

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        values = []
        for read_one in in_turn:
            value, at = read_one(data, at)
            values.append(value)
        return values, at

    return read


def _scale_checked(read: Reader) -> Reader:
    """Return a reader of VARIABLE_DECIMAL that refuses what no number has: it would be written out digit by digit."""

    def read_checked(data: bytes, at: int) -> tuple[Any, int]:
        value, at = read(data, at)
        if abs(value["scale"]) > MAX_SCALE:
            raise ValueError("a scale beyond any number's")
        return value, at

    return read_checked


def _remembering(read: Reader) -> Reader:
    """Return a reader that does not read anew what it read last: neighbouring events share most of their fields.

    An Avro value is no prefix of another one of its schema, so the same bytes are the same value.
    """
    known, value = b"", None

    def read_or_remember(data: bytes, at: int) -> tuple[Any, int]:
        nonlocal known, value
        if not known or not data.startswith(known, at):
            value, end = read(data, at)
            known = data[at:end]
        return value, at + len(known)

    return read_or_remember
