"""The source form of a value: the bytes that stand for it in both chunk and stream. Pure.

It is UTF-8 text as a SELECT in a session in UTC gives it (numbers, dates, times, ENUM and SET by name, JSON as MySQL
writes it), UUID and INET as their usual text, or the raw bytes of what is no text: BINARY and BLOB types, BIT
(big-endian), geometry (SRID and WKB, as stored), VECTOR (32-bit floats, little-endian).

Row images come through :func:`reader`; the columns of a chunk through :func:`selected` after the expressions of
:mod:`capture.sources.mysql.query`. Both make the form of a type with the same function where it takes one, so that
they cannot differ.
"""

from __future__ import annotations

import uuid
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Final

from capture.sources.mysql.row_images import charsets, compressed, json_binary, numerals, temporal
from capture.sources.mysql.row_images.wire import Wire, WireType

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.sources.mysql.row_images.column_meta import ColumnMeta

    Form = Callable[[bytes], bytes]


class UnreadableValue(ValueError):
    """A value that cannot be given its source form; says which column and why, never the value."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"column {column}: {why}")
        self.column, self.why = column, why


def reader(wire: Wire, meta: ColumnMeta) -> Form | None:
    """Return what makes the source form of a value as it stands in a row image, without its length; None: it is that.

    The function raises UnreadableValue.
    """
    return _guarded(meta, _of_wire(wire, meta))


def selected(meta: ColumnMeta) -> Form | None:
    """Return what makes the source form of a value as the select list gives it; None: it is that already.

    The function raises UnreadableValue.
    """
    if meta.data_type in _ADDRESSES:
        return _ADDRESSES[meta.data_type]
    return _guarded(meta, _text(meta)) if meta.charset else None


def keeps_ascii(meta: ColumnMeta) -> bool:
    """Whether :func:`selected` leaves values of ASCII characters as they are."""
    return meta.data_type not in _ADDRESSES and (not meta.charset or charsets.keeps_ascii(meta.charset))


def _guarded(meta: ColumnMeta, form: Form | None) -> Form | None:
    if form is None:
        return None

    def guarded(data: bytes) -> bytes:
        try:
            return form(data)
        except UnicodeDecodeError:
            raise UnreadableValue(meta.name, f"bytes that are no {meta.charset} text") from None
        except (ValueError, IndexError, KeyError) as error:
            raise UnreadableValue(meta.name, f"no {meta.data_type} ({type(error).__name__})") from None

    return guarded


def _of_wire(wire: Wire, meta: ColumnMeta) -> Form | None:
    if wire.type in _FIXED:
        return _FIXED[wire.type]
    sized = _SIZED.get(wire.type)
    return _of_string(wire, meta) if sized is None else sized(wire, meta)


def _of_string(wire: Wire, meta: ColumnMeta) -> Form | None:
    """Return the form of strings and of what is stored as one."""
    if meta.data_type in _ADDRESSES:
        padded, address = _padded(wire.size), _ADDRESSES[meta.data_type]
        return lambda data: address(padded(data))
    if meta.data_type == "binary":
        return _padded(wire.size)
    text = _text(meta) if meta.charset else None
    if wire.type in (WireType.VARCHAR_COMPRESSED, WireType.BLOB_COMPRESSED):
        return compressed.value if text is None else lambda data: text(compressed.value(data))
    return text


def _text(meta: ColumnMeta) -> Form | None:
    """Return the form of text. ENUM and SET come by name from a SELECT, CHAR without the spaces at its end."""
    return charsets.decoder(meta.charset or "utf8mb4")


def _padded(length: int) -> Form:
    """BINARY is logged without the zero bytes at its end."""
    return lambda data: data.ljust(length, b"\0")


def _enum(labels: tuple[str, ...]) -> Form:
    """Names count from 1; 0 is the empty value that stands for one that was refused."""
    names = ["", *labels]
    encoded = [name.encode() for name in names]
    return lambda data: encoded[int.from_bytes(data, "little")]


def _set(labels: tuple[str, ...]) -> Form:
    encoded = [label.encode() for label in labels]

    def read(data: bytes) -> bytes:
        members = int.from_bytes(data, "little")
        if members >> len(encoded):
            raise ValueError
        return b",".join([label for i, label in enumerate(encoded) if members >> i & 1])

    return read


# --- by type ----------------------------------------------------------------------------------------------------------


def _integer(_wire: Wire, meta: ColumnMeta) -> Form:
    signed = not meta.unsigned
    return lambda data: b"%d" % int.from_bytes(data, "little", signed=signed)


def _float(data: bytes) -> bytes:
    return numerals.double_text(numerals.float_of(data))


def _double(data: bytes) -> bytes:
    return numerals.double_text(numerals.double_of(data))


_FIXED: Final[dict[WireType, Form]] = {
    WireType.FLOAT: _float,
    WireType.DOUBLE: _double,
    WireType.YEAR: temporal.year_text,
    WireType.DATE: temporal.date_text,
    WireType.NEWDATE: temporal.date_text,
    WireType.DATETIME: temporal.old_datetime_text,
    WireType.TIMESTAMP: temporal.old_timestamp_text,
    WireType.TIME: temporal.old_time_text,
}
_SIZED: Final[dict[WireType, Callable[[Wire, ColumnMeta], Form | None]]] = {
    **dict.fromkeys((WireType.TINY, WireType.SHORT, WireType.INT24, WireType.LONG, WireType.LONGLONG), _integer),
    WireType.NEWDECIMAL: lambda wire, _: numerals.decimal_reader(wire.size, wire.scale),
    WireType.DATETIME2: lambda wire, _: temporal.datetime_reader(wire.size),
    WireType.TIMESTAMP2: lambda wire, _: temporal.timestamp_reader(wire.size),
    WireType.TIME2: lambda wire, _: temporal.time_reader(wire.size),
    WireType.ENUM: lambda _, meta: _enum(meta.labels),
    WireType.SET: lambda _, meta: _set(meta.labels),
    WireType.BIT: lambda _, __: None,
    WireType.JSON: lambda _, __: json_binary.text,
}
_ADDRESSES: Final[dict[str, Form]] = {
    "uuid": lambda data: str(uuid.UUID(bytes=data)).encode(),
    "inet4": lambda data: inet_ntop(AF_INET, data).encode(),
    "inet6": lambda data: inet_ntop(AF_INET6, data).encode(),
}
