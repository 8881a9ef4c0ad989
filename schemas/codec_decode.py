"""Messages -> events, with values as apply's renderers make them. Trusts no byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.avro import column_branch, field_names, row_fields, table_schema
from schemas.binary import CORRUPT, read_long, readers
from schemas.block import UNSENT, Op, Origin
from schemas.copy_text import escape
from schemas.errors import ContractError
from schemas.order import ORDER_KEY_BYTES
from schemas.received import Received

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
        try:
            self._rows = _RowReader(self.table, row_fields(envelope), renderer)
            self._fields = self._compile(envelope["fields"])
        except (KeyError, TypeError, ValueError) as error:
            raise ContractError(f"an event schema that cannot be read: {type(error).__name__}") from error

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
        fields: dict[str, Any] = {}
        for name, read in self._fields:
            fields[name], at = read(data, at)
        if at != len(data):
            raise ContractError("bytes follow its end")
        op = _OPS[fields["op"]]
        if (fields["before"] is not None, fields["after"] is not None) not in _IMAGES[op]:
            raise ContractError("it has row images that its operation cannot have")
        order, source = fields["order"], fields["source"]
        if order is None or len(order) != ORDER_KEY_BYTES or fields["last"] is None or source["ts_us"] is None:
            raise ContractError("it has no order key, no end mark or no commit time")
        received.before.append(
            self._rows.merge(fields["before"], fields["unavailable_before"], fields["verbatim_before"])
        )
        received.after.append(self._rows.merge(fields["after"], fields["unavailable"], fields["verbatim"]))
        received.ops.append(op)
        received.orders.append(order)
        received.last.append(fields["last"])
        received.key_change.append(fields["key_change"] is True)
        received.origins.append(_ORIGINS[source["snapshot"]])
        received.committed_us.append(source["ts_us"])

    def _compile(self, fields: list[dict[str, Any]]) -> list[tuple[str, Reader]]:
        """Return a reader for each field of the envelope; those of the row images and the source are our own."""
        _check_image_types(fields)
        others = {field["name"]: field["type"] for field in fields if field["name"] not in {"before", "after"}}
        compiled = dict(zip(others, readers(list(others.values())), strict=True))
        compiled["source"] = _remembering(compiled["source"])
        images = {"before": self._rows.read, "after": self._rows.read}
        return [(field["name"], (compiled | images)[field["name"]]) for field in fields]


class _RowReader:
    """Reads row images of one table version."""

    def __init__(self, table: TableSchema, fields: list[dict[str, Any]], renderer: Renderer) -> None:
        self._places = {name: i for i, name in enumerate(field_names(table))}
        branches = [column_branch(field) for field in fields]
        renderers = [renderer(column.type) for column in table.columns]
        column_readers = readers([avro for avro, _ in branches])
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


def _check_image_types(fields: list[dict[str, Any]]) -> None:
    """Refuse a schema whose images are not both optional rows of the one record."""
    unions = {field["name"]: field["type"] for field in fields}
    record = unions["before"][1]
    full_name = f"{record['namespace']}.{record['name']}"
    if unions["before"] != ["null", record] or unions["after"] != ["null", full_name]:
        raise ContractError("an event schema whose before and after are not the same optional record")


def _remembering(read: Reader) -> Reader:
    """Return a reader that does not read anew what it read last: the source block of a whole transaction is the same.

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
