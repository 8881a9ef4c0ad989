"""Frames: what stands before an event's Avro bytes and names their schema.

Sources: Apache Avro specification, "Single-object encoding"; Confluent wire format (magic byte 0 with a 4-byte id,
magic byte 1 with a 16-byte GUID, the latter also in the headers ``__key_schema_id`` and ``__value_schema_id``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Kafka headers that carry a frame when the payload stands alone.
KEY_HEADER: Final = "__key_schema_id"
VALUE_HEADER: Final = "__value_schema_id"

_SINGLE_OBJECT: Final = b"\xc3\x01"
_FINGERPRINT: Final = struct.Struct("<2sQ")
_CONFLUENT: Final = struct.Struct(">BI")
_CONFLUENT_MAGIC: Final = 0
_GUID_MAGIC: Final = 1
_GUID_BYTES: Final = 17


class Fingerprint(NamedTuple):
    """A schema named by the CRC-64-AVRO of its text, stored in ``<prefix>.schemas``."""

    value: int


class RegistryId(NamedTuple):
    """A schema named by its number in a schema registry."""

    value: int


class Guid(NamedTuple):
    """A schema named by its 16-byte GUID in a schema registry."""

    value: bytes


FrameId = Fingerprint | RegistryId | Guid


def single_object(fingerprint: int) -> bytes:
    """Return the 10 bytes of Avro's single-object encoding; raises ContractError beyond 64 bits."""
    try:
        return _FINGERPRINT.pack(_SINGLE_OBJECT, fingerprint)
    except struct.error as error:
        raise ContractError("a schema fingerprint has 64 bits") from error


def confluent(schema_id: int) -> bytes:
    """Return the 5 bytes of Confluent's wire format; raises ContractError beyond 32 bits."""
    try:
        return _CONFLUENT.pack(_CONFLUENT_MAGIC, schema_id)
    except struct.error as error:
        raise ContractError("a registry's schema id has 32 bits") from error


def read_frame(data: bytes) -> tuple[FrameId, int]:
    """Return the schema's name and the offset at which the Avro bytes begin.

    Raises ContractError for anything that is none of the three frames.
    """
    if data[:2] == _SINGLE_OBJECT and len(data) >= _FINGERPRINT.size:
        return Fingerprint(_FINGERPRINT.unpack_from(data)[1]), _FINGERPRINT.size
    if data[:1] == b"\x00" and len(data) >= _CONFLUENT.size:
        return RegistryId(_CONFLUENT.unpack_from(data)[1]), _CONFLUENT.size
    if data[:1] == b"\x01" and len(data) >= _GUID_BYTES:
        return Guid(bytes(data[1:_GUID_BYTES])), _GUID_BYTES
    raise ContractError(_unknown(data))


def frame_of(
    data: bytes, headers: Sequence[tuple[str, bytes | None]] | None, header: str = VALUE_HEADER
) -> tuple[FrameId, int]:
    """Return what :func:`read_frame` does, from the header if the message has it (the payload then stands alone)."""
    for name, value in headers or ():
        if name == header and value is not None:
            frame, size = read_frame(value)
            if size != len(value):
                raise ContractError(f"the header {header} is longer than a schema id")
            return frame, 0
    return read_frame(data)


def _unknown(data: bytes) -> str:
    if not data:
        return "an empty message holds no event"
    start = data[0]
    if start in {_SINGLE_OBJECT[0], _CONFLUENT_MAGIC, _GUID_MAGIC}:
        return f"a message of {len(data)} bytes that starts with 0x{start:02x} is cut short or in no known framing"
    return f"a message that starts with 0x{start:02x} is framed neither as Avro single object nor as Confluent"
