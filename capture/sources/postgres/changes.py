"""Runs of the stream's row messages -> blocks: by column where there are many rows, else row by row. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from capture.sources.postgres import pgoutput
from capture.sources.postgres.columns import Messages
from schemas.block import UNSENT, Block, Op
from schemas.columnar.arrays import Mask, Unserved, nulls_of
from schemas.columnar.block import ColumnBlock, Columns, Part
from schemas.columnar.encode import FEWEST
from schemas.table import Kind

if TYPE_CHECKING:
    from capture.runs import Run
    from capture.sources.postgres.pgoutput import Images, Relation
    from schemas.block import Row
    from schemas.columnar.arrays import Ints
    from schemas.table import TableSchema

_OPS: Final = {pgoutput.INSERT: Op.CREATE, pgoutput.UPDATE: Op.UPDATE, pgoutput.DELETE: Op.DELETE}
_READ: Final = {pgoutput.INSERT: pgoutput.insert, pgoutput.UPDATE: pgoutput.update, pgoutput.DELETE: pgoutput.delete}
#: Operations by the first byte of their message, as the codes that blocks by column hold.
_CODES: Final = np.zeros(256, np.uint8)
for _kind, _op in _OPS.items():
    _CODES[_kind] = ord(_op.value)

_NEW, _OLD_KEY, _OLD_ROW = b"NKO"
#: Where a row message says which tuple comes first, and where that begins.
_TUPLE_KIND, _FIRST_TUPLE = 5, 6


class OtherIdentity(Exception):
    """An old key image is not of the table's own replica identity, so it is of a partition that has another one.

    Which rows are meant cannot be told, and other changes of that partition came without an old image.
    """


class Change(NamedTuple):
    """A row that was looked into when it came."""

    op: Op
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A table version of the stream.

    ``sent`` tells which columns an old key image has, ``enums`` the labels of the version by column.
    """

    oid: int
    schema: TableSchema
    sent: tuple[bool, ...]
    enums: tuple[tuple[int, frozenset[bytes]], ...]

    @classmethod
    def of(cls, relation: Relation, schema: TableSchema) -> Reading:
        """Return how the stream's rows of a relation are read."""
        enums = [
            (i, frozenset(label.encode() for label in column.type.allowed))
            for i, column in enumerate(schema.columns)
            if column.type.kind is Kind.ENUM
        ]
        return cls(relation.oid, schema, tuple(column.identity for column in relation.columns), tuple(enums))


def block_of(run: Run[Reading, bytes | Change], fewest: int = FEWEST) -> Block | ColumnBlock:
    """Return the rows of a run as a block, by column from ``fewest`` rows on.

    Raises ProtocolError for bytes that are no row message, OtherIdentity.
    """
    messages = [row for row in run.rows if type(row) is bytes]
    if len(messages) == len(run.rows) >= fewest:
        try:
            return _by_column(run, messages)
        except Unserved:
            pass
    return _by_row(run)


def change(table: Reading, message: bytes) -> Change:
    """Read one row message; raises OtherIdentity."""
    images = _READ[message[0]](message)
    after = images.new
    if after is not None and images.partial and images.old is not None:
        after = _filled(after, images.old)
    return Change(_OPS[message[0]], _before(table, images), after)


# --- row by row -------------------------------------------------------------------------------------------------------


def _by_row(run: Run[Reading, bytes | Change]) -> Block:
    table = run.version
    changes = [change(table, row) if isinstance(row, bytes) else row for row in run.rows]
    tx, ordinals, last = run.lists()
    return Block(
        table.schema, run.transactions,
        ops=[c.op for c in changes], tx=tx, ordinals=ordinals,
        before=[c.before for c in changes], after=[c.after for c in changes], last=last,
        key_change=[_key_changed(table.schema, c) for c in changes],
    )  # fmt: skip


def _before(table: Reading, images: Images) -> Row | None:
    """Return the old image; a key image has NULL where nothing was sent, and unsent is never NULL.

    What is sent of a key image is never NULL: a replica identity takes only columns that cannot be.
    """
    if images.old is None or images.full:
        return images.old
    if None in [value for value, sent in zip(images.old, table.sent, strict=True) if sent]:
        raise OtherIdentity
    return tuple([value if sent else UNSENT for value, sent in zip(images.old, table.sent, strict=True)])


def _filled(after: Row, before: Row) -> Row:
    """Return the new row with what was not sent taken from the old one, where that has it.

    A value that was left out is stored out of line, so it is not NULL: a NULL in the old image is a hole there.
    """
    return tuple([old if new is UNSENT and old is not None else new for new, old in zip(after, before, strict=True)])


def _key_changed(table: TableSchema, found: Change) -> bool:
    before, after = found.before, found.after
    if found.op is not Op.UPDATE or before is None or after is None:
        return False
    return any(before[i] != after[i] for i in table.key)


# --- by column --------------------------------------------------------------------------------------------------------


def _by_column(run: Run[Reading, bytes | Change], rows: list[bytes]) -> ColumnBlock:
    try:
        kinds = np.frombuffer(bytes(map(itemgetter(0), rows)), np.uint8)
        tuples = np.frombuffer(bytes(map(itemgetter(_TUPLE_KIND), rows)), np.uint8)
    except IndexError:
        raise Unserved from None
    reader = _Reader(run.version, rows)
    parts = []
    for message_kinds, tuple_kind in _SHAPES:
        places = np.flatnonzero(np.isin(kinds, message_kinds) & (tuples == tuple_kind))
        if len(places):
            parts.append(reader.part(places, tuple_kind, deletes=pgoutput.DELETE in message_kinds))
    if sum(len(part.places) for part in parts) != len(rows):
        raise Unserved
    return ColumnBlock(
        run.version.schema, run.transactions, _CODES[kinds], run.tx(), run.ordinals(), run.last(),
        reader.key_change, parts,
    )  # fmt: skip


#: The kinds of messages and of their first tuple that have the same images.
_SHAPES: Final = (
    ((pgoutput.INSERT, pgoutput.UPDATE), _NEW),
    ((pgoutput.UPDATE,), _OLD_KEY),
    ((pgoutput.UPDATE,), _OLD_ROW),
    ((pgoutput.DELETE,), _OLD_KEY),
    ((pgoutput.DELETE,), _OLD_ROW),
)


class _Reader:
    """Reads the row messages of a run by the shape of their images; ``key_change`` grows with the parts."""

    def __init__(self, table: Reading, rows: list[bytes]) -> None:
        self.key_change = np.zeros(len(rows), np.bool_)
        self._table = table
        self._messages = Messages(rows)
        self._width = len(table.schema.columns)

    def part(self, places: Ints, kind: int, *, deletes: bool) -> Part:
        """Read the messages at these places, all of which begin with this kind of tuple."""
        messages = self._messages
        first = messages.tuples(places, messages.starts[places] + _FIRST_TUPLE, self._width)
        if kind == _NEW:
            messages.finish(places, first.ends)
            return Part(places, None, first.images)
        old = first.images if kind == _OLD_ROW else _key_only(first.images, self._table.sent)
        if deletes:
            messages.finish(places, first.ends)
            return Part(places, old, None)
        messages.require(first.ends, _NEW)
        second = messages.tuples(places, first.ends + 1, self._width)
        messages.finish(places, second.ends)
        new = _filled_columns(second.images, first.images)
        self.key_change[places] = _keys_changed(self._table.schema, old, new)
        return Part(places, old, new)


def _key_only(images: Columns, sent: tuple[bool, ...]) -> Columns:
    """Return old images that hold the replica identity alone: what else stands there as NULL was not sent.

    Raises Unserved for what is of another identity: row by row it is told.
    """
    if any(values.null_count and 1 in _states(images, i) for i, values in enumerate(images.values) if sent[i]):
        raise Unserved
    nothing = pa.nulls(len(images), pa.binary())
    unsent = np.ones(len(images), np.bool_)
    return Columns(
        len(images),
        tuple(values if there else nothing for values, there in zip(images.values, sent, strict=True)),
        tuple(mask if there else unsent for mask, there in zip(images.unsent, sent, strict=True)),
    )


def _filled_columns(new: Columns, old: Columns) -> Columns:
    """Return new images with what was not sent taken from the old ones, where those have it."""
    values, unsent = list(new.values), list(new.unsent)
    for i, mask in enumerate(new.unsent):
        if mask is not None:
            null = nulls_of(old.values[i])
            usable = mask if null is None else mask & ~null
            values[i] = pc.if_else(pa.array(usable), old.values[i], new.values[i])
            unsent[i] = mask & ~usable
    return Columns(len(new), tuple(values), tuple(unsent))


def _keys_changed(table: TableSchema, old: Columns, new: Columns) -> Mask:
    """Return where a key column of the old image differs from the new one's; not sent differs from NULL and values."""
    changed = np.zeros(len(new), np.bool_)
    for i in table.key:
        changed |= _true(pc.not_equal(old.values[i], new.values[i]))
        for one, other in ((old, new), (new, old)):
            changed |= _states(one, i) != _states(other, i)
    return changed


def _true(flags: pa.BooleanArray) -> Mask:
    """Return which flags are set; null is not."""
    return pc.fill_null(flags, pa.scalar(value=False)).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _states(images: Columns, column: int) -> np.ndarray:
    """Return 0 for values, 1 for NULLs, 2 for what was not sent."""
    states = np.zeros(len(images), np.uint8)
    null, unsent = nulls_of(images.values[column]), images.unsent[column]
    if null is not None:
        states += null
    if unsent is not None:
        states += unsent
    return states
