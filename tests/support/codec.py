"""Blocks through the codec and back: a registry of schemas, and what must come out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import fastavro

from schemas.avro import envelope_schema
from schemas.block import UNSENT, Block, Op
from schemas.codec import BlockDecoder, BlockEncoder, Message, Verbatim
from schemas.copy_text import escape
from schemas.fingerprint import fingerprint
from schemas.framing import read_frame, single_object
from tests.support.strategies import freezer, thaw

if TYPE_CHECKING:
    from schemas.table import TableSchema

TOPIC = "shop.public.items"
NOW_US = 1_700_000_000_123_456


class Registry:
    """Schemas by frame, as a schema store keeps them."""

    def __init__(self) -> None:
        self.schemas: dict[bytes, dict[str, Any]] = {}

    def register(self, subject: str, schema: dict[str, Any]) -> bytes:
        frame = single_object(fingerprint(schema))
        self.schemas[frame] = schema
        return frame

    def read(self, data: bytes) -> Any:
        """Decode a framed key or value with nothing but its schema and a general Avro library."""
        _, start = read_frame(data)
        stream = io.BytesIO(data[start:])
        value = fastavro.schemaless_reader(stream, without_logical_types(self.schemas[data[:start]]), None)
        assert stream.read() == b""
        return value


def without_logical_types(schema: Any) -> Any:
    """Return a schema that the library reads as bare Avro: it would make Decimals of decimals."""
    if isinstance(schema, dict):
        return {name: without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    return [without_logical_types(part) for part in schema] if isinstance(schema, list) else schema


def encode(block: Block, registry: Registry | None = None) -> list[Message]:
    """Messages of a block whose values are in the neutral form of ``strategies``."""
    registry = registry or Registry()
    converters = [thaw] * len(block.table.columns)
    return BlockEncoder(block.table, TOPIC, "shop", converters, registry.register, lambda: NOW_US).encode(block)


def values_of(messages: list[Message]) -> list[bytes]:
    """All but the tombstones."""
    return [message.value for message in messages if message.value is not None]


def decode(table: TableSchema, values: list[bytes]):
    """Events of one block's values, in single-object framing, at offsets from 0."""
    return BlockDecoder(envelope_schema(table, TOPIC), freezer).decode(values, range(len(values)), start=10)


def _as_received(row):
    """What apply gets of a row in the neutral form: a verbatim value arrives as escaped text."""
    if row is None:
        return None
    return tuple(_received_value(value) for value in row)


def _received_value(value):
    if value is None or value is UNSENT:
        return value
    thawed = thaw(value)
    return escape(thawed.encode()) if isinstance(thawed, Verbatim) else value


def expected_events(block: Block):
    """Yield (op, before, after, ordinal, last, key_change) of every event that a block must become."""
    for i, op in enumerate(block.ops):
        before, after, ordinal = _as_received(block.before[i]), _as_received(block.after[i]), block.ordinals[i]
        if block.key_change[i]:
            yield Op.DELETE, before, None, ordinal, False, True
            yield Op.CREATE, before, after, ordinal + 1, block.last[i], True
        else:
            yield op, before, after, ordinal, block.last[i], False
