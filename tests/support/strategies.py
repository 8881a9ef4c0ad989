"""Random tables and rows for property tests: hostile names, every kind of value, in a form of no database.

A value's *neutral form* is the pickle of what :mod:`schemas.values` says of its kind: ``freeze`` and ``thaw`` stand
in for a source's converters and apply's renderers, so the contract can be tested without either.
"""

from __future__ import annotations

import math
import pickle
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from schemas.avro_defaults import decimal_bytes
from schemas.block import UNSENT, Block, Op, Origin, Transaction
from schemas.table import Column, Kind, TableSchema, ValueType
from schemas.values import Verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.block import Row

HOSTILE_NAMES = [
    "id", "Id", "order", "before", "Value", "type", "null", "1st", "_", "__", "_x_", "_x20_", "_x5f_", "_x5", "x20_",
    "a b", "a.b", "a_b", "a-b", "a--b", "-", "-h0123456789abcdef", "-2d-", 'quo"te', "new\nline", "back\\slash", "ünï",
    "日本語", "😀", " ", "{}", "$1", "%s", "__debezium.source.column.type", "ferryman.missing", "n" * 63, "é" * 60,
]  # fmt: skip

#: Any text that a database can hold: every Unicode scalar value but NUL.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.sampled_from(HOSTILE_NAMES) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)


def freeze(value: object) -> bytes:
    """Return a value in its neutral form."""
    return pickle.dumps(value, protocol=5)


def thaw(data: bytes) -> object:
    """Return a value from its neutral form: a converter for every kind."""
    return pickle.loads(data)


def freezer(_: ValueType) -> Callable[[object], bytes]:
    """Return the renderer of the neutral form, for every type."""
    return freeze


@st.composite
def value_types(draw: st.DrawFn, kinds: st.SearchStrategy[Kind] | None = None) -> ValueType:
    """Any type of the vocabulary with parameters that it may have."""
    kind = draw(kinds or st.sampled_from(Kind))
    if kind is Kind.DECIMAL:
        return ValueType(kind, draw(st.none() | st.integers(1, 1000)), draw(st.none() | st.integers(0, 1000)))
    if kind is Kind.BITS:
        return ValueType(kind, length=draw(st.integers(1, 80)))
    if kind is Kind.ENUM:
        return ValueType(kind, allowed=tuple(draw(st.lists(texts, unique=True, max_size=4))))
    return ValueType(kind)


def values(value_type: ValueType) -> st.SearchStrategy[Any]:
    """Values of a type as :mod:`schemas.values` says, and verbatim ones, which any type may have."""
    return _VALUES[value_type.kind](value_type) | texts.map(Verbatim)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    """A column of any type; whether it belongs to the key is for the table to say."""
    return Column(
        name=name,
        type=draw(value_types()),
        nullable=draw(st.booleans()),
        source_type=draw(texts),
        target_type=draw(texts),
        fallback_type=draw(texts),
        length=draw(st.none() | st.integers(-5, 10**9)),
        scale=draw(st.none() | st.integers(-1000, 1000)),
        identity=draw(st.booleans()),
        missing=draw(st.none() | texts | st.sampled_from(["0", "-1", "t", "1.50", "2024-02-29", "\\x00ff", "NaN"])),
        comment=draw(st.none() | texts),
    )


@st.composite
def tables(draw: st.DrawFn, *, keyed: bool | None = None) -> TableSchema:
    """A table of one to six columns with or without a key of one to three of them, in any order."""
    column_names = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    made = [draw(columns(name)) for name in column_names]
    wants_key = draw(st.booleans()) if keyed is None else keyed
    key = draw(st.permutations(range(len(made))))[: draw(st.integers(1, 3))] if wants_key else []
    for position, i in enumerate(key, 1):
        made[i] = _with(made[i], key_position=position, identity=True, nullable=False)
    return TableSchema(draw(names), draw(names), tuple(made), database=draw(names), comment=draw(st.none() | texts))


@st.composite
def rows(draw: st.DrawFn, table: TableSchema, *, unsent: bool = True) -> Row:
    """A row in the neutral form; key columns always have a value, others may be NULL or (``unsent``) not sent."""
    gaps = st.none() | st.just(UNSENT) if unsent else st.none()
    return tuple(
        draw(values(column.type).map(freeze) if i in table.key else gaps | values(column.type).map(freeze))
        for i, column in enumerate(table.columns)
    )


@st.composite
def blocks(draw: st.DrawFn, table: TableSchema) -> Block:
    """A block of up to five rows from up to three transactions, every operation that the table can have."""
    transactions = sorted(draw(st.lists(_transactions, min_size=1, max_size=3)))
    block = Block(
        table,
        transactions,
        incarnation=draw(st.integers(0, 2**32 - 1)),
        run=draw(st.integers(0, 2**63 - 1)),
        origin=draw(st.sampled_from(Origin)),
    )
    for tx in sorted(draw(st.lists(st.integers(0, len(transactions) - 1), max_size=5))):
        _add_row(draw, block, tx)
    return block


def _add_row(draw: st.DrawFn, block: Block, tx: int) -> None:
    op = draw(st.sampled_from(Op))
    has_before = op is Op.DELETE or (op is Op.UPDATE and draw(st.booleans()))
    before = draw(rows(block.table)) if has_before else None
    after = draw(rows(block.table)) if op not in {Op.DELETE, Op.TRUNCATE} else None
    changes = op is Op.UPDATE and before is not None and after is not None and bool(block.table.key)
    block.ops.append(op)
    block.tx.append(tx)
    block.ordinals.append(2 * len(block.ordinals))
    block.before.append(before)
    block.after.append(after)
    block.last.append(draw(st.booleans()))
    block.key_change.append(changes and any(before[i] != after[i] for i in block.table.key))


_transactions = st.builds(
    Transaction,
    position=st.integers(0, 2**64 - 1),
    committed_us=st.integers(-(2**62), 2**62),
    id=st.sampled_from(["", "731", "4294967295", "not a number", "99999999999999999999"]),
)


def _with(column: Column, **changes: Any) -> Column:
    return Column(**{name: getattr(column, name) for name in Column.__dataclass_fields__} | changes)


def _integers(bits: int) -> Callable[[ValueType], st.SearchStrategy[int]]:
    edge = 1 << bits - 1
    return lambda _: st.integers(-edge, edge - 1) | st.sampled_from([-edge, -1, 0, 63, 64, edge - 1])


def _texts(_: ValueType) -> st.SearchStrategy[str]:
    return texts


_unscaled = st.integers(-(10**40), 10**40) | st.sampled_from([-32769, -32768, -129, -128, -1, 0, 127, 128, 255, 256])

_VALUES: dict[Kind, Callable[[ValueType], st.SearchStrategy[Any]]] = {
    Kind.BOOLEAN: lambda _: st.booleans(),
    Kind.INT16: _integers(16),
    Kind.INT32: _integers(32),
    Kind.INT64: _integers(64),
    Kind.FLOAT32: lambda _: st.floats(width=32) | st.just(-0.0) | st.just(math.inf),
    Kind.FLOAT64: lambda _: st.floats() | st.just(-0.0) | st.just(-math.inf),
    Kind.STRING: _texts,
    Kind.BYTES: lambda _: st.binary(max_size=300),
    Kind.DECIMAL: lambda _: _unscaled.map(decimal_bytes),
    Kind.VARIABLE_DECIMAL: lambda _: st.tuples(st.integers(0, 16383), _unscaled).map(
        lambda parts: {"scale": parts[0], "value": decimal_bytes(parts[1])}
    ),
    Kind.DATE: _integers(32),
    Kind.MICRO_TIME: lambda _: st.integers(0, 86_399_999_999),
    Kind.ZONED_TIME: _texts,
    Kind.MICRO_TIMESTAMP: _integers(64),
    Kind.ZONED_TIMESTAMP: _texts,
    Kind.INTERVAL: _texts,
    Kind.JSON: _texts,
    Kind.XML: _texts,
    Kind.UUID: lambda _: st.uuids().map(str),
    Kind.ENUM: _texts,
    Kind.BITS: lambda value_type: st.binary(
        min_size=(value_type.length + 7) // 8, max_size=(value_type.length + 7) // 8
    ),
    Kind.LTREE: _texts,
    Kind.TSVECTOR: _texts,
}
