"""Rows in the source's form -> messages: keys, envelopes, tombstones."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.avro import column_branch, envelope_schema, field_names, row_fields
from schemas.binary import MISFIT, write_long, write_string, writer, writers
from schemas.block import UNSENT, Op
from schemas.errors import ContractError
from schemas.key_encode import KeyEncoder
from schemas.order import ORDER_KEY_BYTES, pack
from schemas.source_block import SourceWriter
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.binary import Writer
    from schemas.block import Block, Row
    from schemas.key_encode import Register
    from schemas.table import TableSchema

NEW_KEY_HEADER: Final = "__debezium.newkey"
OLD_KEY_HEADER: Final = "__debezium.oldkey"

_NULL: Final = b"\x00"
_BRANCH_1: Final = b"\x02"
_TRUE, _FALSE = b"\x02\x01", b"\x02\x00"


class Message(NamedTuple):
    """One Kafka message of a table's topic; ``value`` None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class _Image(NamedTuple):
    """A row image as the envelope holds it: the row, the columns not sent, the verbatim texts; each with its branch."""

    row: bytes
    unavailable: bytes
    verbatim: bytes


_NO_IMAGE: Final = _Image(_NULL, _NULL, _NULL)


def _clock_us() -> int:
    return time.time_ns() // 1_000


class BlockEncoder:
    """Writes the blocks of one table version as messages.

    ``topic`` and ``prefix`` name the topic and the pipeline, ``converters`` make each column's Avro value of its
    source form. ``register`` stores a schema under a subject durably and returns its frame: at once for envelope and
    key, and for keys with a verbatim value when the first of them comes. ``now_us`` is the clock of ``ts_ms`` and
    ``ts_us`` (microseconds since 1970). One encoder serves one thread.
    """

    def __init__(
        self,
        table: TableSchema,
        topic: str,
        prefix: str,
        converters: Sequence[Callable[[bytes], object]],
        register: Register,
        now_us: Callable[[], int] = _clock_us,
    ) -> None:
        envelope = envelope_schema(table, topic)
        self._table = table
        self._now_us = now_us
        self._source = SourceWriter(table, prefix)
        self._rows = _RowEncoder(table, envelope, converters)
        self._frame = register(f"{topic}-value", envelope)
        self._keys = KeyEncoder(table, topic, converters, register)

    def encode(self, block: Block) -> list[Message]:
        """Return the messages of a block, in order; raises ContractError for a value that its column cannot hold."""
        if block.table != self._table:
            raise ContractError(f"a block of another version of {self._table.name!r} than its encoder's")
        sources = [self._source.write(transaction, block.origin) for transaction in block.transactions]
        now = self._now_us()
        clock = _BRANCH_1 + write_long(now // 1_000) + _BRANCH_1 + write_long(now)
        stamps = [_Stamp(source, clock) for source in sources]
        messages: list[Message] = []
        for i, transaction in enumerate(block.tx):
            self._row(block, i, stamps[transaction], messages)
        return messages

    def _row(self, block: Block, i: int, stamp: _Stamp, out: list[Message]) -> None:
        """Add the messages of row i: one, two for a delete of a keyed table, three for a key change."""
        op, before, after, last = block.ops[i], block.before[i], block.after[i], block.last[i]
        order = pack(block.incarnation, block.transactions[block.tx[i]].position, block.run, block.ordinals[i])
        old = self._rows.image(before)
        if op is Op.TRUNCATE:
            out.append(Message(None, self._value(op, old, _NO_IMAGE, stamp, _tail(order, last)), []))
        elif op is Op.DELETE:
            key = self._keys.encode(before)
            out.append(Message(key, self._value(op, old, _NO_IMAGE, stamp, _tail(order, last)), []))
            if key is not None:
                out.append(Message(key, None, []))
        elif block.key_change[i]:
            out += self._key_change(block, i, old, stamp)
        else:
            key = self._keys.encode(after, before)
            out.append(Message(key, self._value(op, old, self._rows.image(after), stamp, _tail(order, last)), []))

    def _key_change(self, block: Block, i: int, old: _Image, stamp: _Stamp) -> list[Message]:
        """Return a key change as Debezium shows it: delete, tombstone, create, joined by headers.

        The create carries the old row too, so that apply can move the row instead of writing it anew: what the
        source did not send stays as it is.
        """
        old_key = self._keys.encode(block.before[i])
        new_key = self._keys.encode(block.after[i], block.before[i])
        if old_key is None or new_key is None:
            raise ContractError(f"a key change in {self._table.name!r}, which has no key")
        place = block.incarnation, block.transactions[block.tx[i]].position, block.run
        order = pack(*place, block.ordinals[i])
        delete = self._value(Op.DELETE, old, _NO_IMAGE, stamp, _tail(order, last=False, key_change=True))
        tail = _tail(pack(*place, block.ordinals[i] + 1), block.last[i], key_change=True)
        create = self._value(Op.CREATE, old, self._rows.image(block.after[i]), stamp, tail)
        return [
            Message(old_key, delete, [(NEW_KEY_HEADER, new_key)]),
            Message(old_key, None, []),
            Message(new_key, create, [(OLD_KEY_HEADER, old_key)]),
        ]

    def _value(self, op: Op, old: _Image, new: _Image, stamp: _Stamp, tail: bytes) -> bytes:
        """Return an envelope. ``transaction`` is null; the lists of both images follow our own fields."""
        return b"".join(
            (
                self._frame, old.row, new.row, stamp.source, _NULL, _OPS[op], stamp.clock, tail,
                new.unavailable, old.unavailable, new.verbatim, old.verbatim,
            )
        )  # fmt: skip


class _Stamp(NamedTuple):
    """What the rows of a transaction in one block share, encoded: the source block, ts_ms with ts_us."""

    source: bytes
    clock: bytes


#: What stands before the bytes of an order key.
_ORDER: Final = _BRANCH_1 + write_long(ORDER_KEY_BYTES)
_OPS: Final = {op: write_string(op.value) for op in Op}


def _tail(order: bytes, last: bool, key_change: bool = False) -> bytes:  # noqa: FBT001, FBT002 - the fields' own names
    """Return order, last and key_change (null where it is false)."""
    return b"".join((_ORDER, order, _TRUE if last else _FALSE, _TRUE if key_change else _NULL))


class _RowEncoder:
    """Writes row images of one table version."""

    def __init__(
        self, table: TableSchema, envelope: dict[str, Any], converters: Sequence[Callable[[bytes], object]]
    ) -> None:
        self._names = field_names(table)
        self._columns: list[tuple[Callable[[bytes], object], Writer, bytes, bytes]] = []
        branches = [column_branch(field) for field in row_fields(envelope)]
        column_writers = writers([avro for avro, _ in branches])
        for convert, write, (_, null) in zip(converters, column_writers, branches, strict=True):
            self._columns.append((convert, write, write_long(1 - null), write_long(null)))
        # A table has few such lists: which columns are stored out of line, or outside the key.
        self._list_of = lru_cache(256)(self._write_unavailable)

    def image(self, row: Row | None) -> _Image:
        """Return a row image; raises ContractError naming the column of a value that does not fit.

        It is raised from nothing: the error behind it may show the value.
        """
        if row is None:
            return _NO_IMAGE
        parts = [_BRANCH_1]
        unsent: list[int] = []
        verbatim: dict[str, str] = {}
        i = 0
        try:
            for i, (value, (convert, write, branch, null)) in enumerate(zip(row, self._columns, strict=True)):
                if value is None:
                    parts.append(null)
                elif value is UNSENT:
                    parts.append(null)
                    unsent.append(i)
                elif type(converted := convert(value)) is Verbatim:
                    parts.append(null)
                    verbatim[self._names[i]] = converted
                else:
                    parts.append(branch + write(converted))
        except MISFIT:
            raise ContractError(f"column {self._names[i]}: a value that its type cannot hold") from None
        texts = _BRANCH_1 + _write_verbatim(verbatim) if verbatim else _NULL
        return _Image(b"".join(parts), self._list_of(tuple(unsent)) if unsent else _NULL, texts)

    def _write_unavailable(self, columns: tuple[int, ...]) -> bytes:
        return _BRANCH_1 + _write_names([self._names[i] for i in columns])


_write_names = writer({"type": "array", "items": "string"})
_write_verbatim = writer({"type": "map", "values": "string"})
