"""Avro binary encoding, compiled once for a schema: no schema is looked at while rows are written or read.

Source: Apache Avro specification, "Binary Encoding". Layouts are deterministic: maps and arrays are one block, in
the order given. Reading trusts nothing: every length is compared with the bytes that are there before anything of
that length is made. For one event this is two to four times as fast as a general Avro library.

A reader takes the bytes and a position and returns the value and the position after it. On bytes that do not fit
its schema it raises one of :data:`CORRUPT`; its caller says which event that was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.errors import ContractError

Writer = Callable[[Any], bytes]
Reader = Callable[[bytes, int], tuple[Any, int]]

#: What a reader raises on bytes that are not of its schema; UnicodeDecodeError is a ValueError.
CORRUPT: Final = (ValueError, IndexError, struct.error)
#: What a writer raises on a value that is not of its schema; UnicodeEncodeError is a ValueError.
MISFIT: Final = (ValueError, TypeError, OverflowError, KeyError, AttributeError, struct.error)

_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")
_ONE_BYTE: Final = tuple(bytes((i,)) for i in range(0x80))


def writer(schema: Any) -> Writer:
    """Return the function that writes values of ``schema``; raises ContractError for a schema it does not know.

    The function raises one of :data:`MISFIT` on a value of another type.
    """
    return writers([schema])[0]


def writers(schemas: Sequence[Any]) -> list[Writer]:
    """Return the functions for several schemas, of which later ones may name the records of earlier ones."""
    return _compile_all(schemas, _PRIMITIVE_WRITERS, _COMPLEX_WRITERS, _union_writer)


def reader(schema: Any) -> Reader:
    """Return the function that reads values of ``schema``; raises ContractError for a schema it does not know."""
    return readers([schema])[0]


def readers(schemas: Sequence[Any]) -> list[Reader]:
    """Return the functions for several schemas, of which later ones may name the records of earlier ones."""
    return _compile_all(schemas, _PRIMITIVE_READERS, _COMPLEX_READERS, _union_reader)


def _compile_all(schemas: Sequence[Any], primitive: dict[str, Any], complex_: dict[str, Any], union: Any) -> list[Any]:
    """Return the functions of schemas. A record is known by name only after its end, so none holds itself."""
    named: dict[str, Any] = {}

    def compiled(schema: Any) -> Any:
        if isinstance(schema, list):
            return union(schema, compiled)
        if isinstance(schema, str):
            return primitive[schema] if schema in primitive else named[schema]
        kind = schema["type"]
        if kind in primitive:
            return primitive[kind]
        function = complex_[kind](schema, compiled)
        if "name" in schema:
            named[_full_name(schema)] = function
        return function

    try:
        return [compiled(schema) for schema in schemas]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ContractError("a schema with a type that the contract does not have") from error


def _full_name(schema: dict[str, Any]) -> str:
    """Return the name by which the rest of a schema refers to a record: our schemas always write it in full."""
    namespace, name = schema.get("namespace"), schema["name"]
    return f"{namespace}.{name}" if namespace and "." not in name else str(name)


# Writing


def write_long(number: int) -> bytes:
    """Return an integer of at most 64 bits, zig-zag and variable length; raises OverflowError beyond."""
    zigzag = number << 1 if number >= 0 else ~(number << 1)
    if zigzag < 0x80:
        return _ONE_BYTE[zigzag]
    if zigzag < 0x4000:
        return bytes((zigzag & 0x7F | 0x80, zigzag >> 7))
    if zigzag < 0x20_0000:
        return bytes((zigzag & 0x7F | 0x80, zigzag >> 7 & 0x7F | 0x80, zigzag >> 14))
    if zigzag >> 64:
        raise OverflowError("an integer beyond 64 bits")
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


#: The lengths of nearly all values, written.
_LENGTHS: Final = tuple(write_long(size) for size in range(1024))


def write_bytes(data: bytes) -> bytes:
    """Return some bytes with their length before them."""
    size = len(data)
    return (_LENGTHS[size] if size < len(_LENGTHS) else write_long(size)) + data


def write_string(text: str) -> bytes:
    """Return a text as UTF-8 with its length in bytes before it."""
    data = text.encode()
    size = len(data)
    return (_LENGTHS[size] if size < len(_LENGTHS) else write_long(size)) + data


def _write_int(number: int) -> bytes:
    if not -0x8000_0000 <= number <= 0x7FFF_FFFF:
        raise OverflowError("an integer beyond 32 bits")
    return write_long(number)


def _write_boolean(value: bool) -> bytes:  # noqa: FBT001 - a writer's one argument is the value
    return b"\x01" if value else b"\x00"


def _record_writer(schema: dict[str, Any], inner: Callable[[Any], Writer]) -> Writer:
    """Return a writer of dicts; a field that is not there is null."""
    fields = [(field["name"], inner(field["type"])) for field in schema["fields"]]

    def write(value: dict[str, Any]) -> bytes:
        return b"".join([write_field(value.get(name)) for name, write_field in fields])

    return write


def _union_writer(schema: list[Any], inner: Callable[[Any], Writer]) -> Writer:
    """Return a writer of null and one other type, the only unions of which a value tells its branch."""
    if len(schema) != 2 or "null" not in schema:
        raise ContractError("the contract writes no union but that of null and one type")
    null = schema.index("null")
    write_other, head = inner(schema[1 - null]), write_long(1 - null)
    null_bytes = write_long(null)

    def write(value: Any) -> bytes:
        return null_bytes if value is None else head + write_other(value)

    return write


def _array_writer(schema: dict[str, Any], inner: Callable[[Any], Writer]) -> Writer:
    write_item = inner(schema["items"])

    def write(items: list[Any]) -> bytes:
        return _blocks(len(items), b"".join([write_item(item) for item in items]))

    return write


def _map_writer(schema: dict[str, Any], inner: Callable[[Any], Writer]) -> Writer:
    write_value = inner(schema["values"])

    def write(items: dict[str, Any]) -> bytes:
        pairs = [write_string(name) + write_value(value) for name, value in items.items()]
        return _blocks(len(pairs), b"".join(pairs))

    return write


def _blocks(count: int, data: bytes) -> bytes:
    return write_long(count) + data + b"\x00" if count else b"\x00"


_PRIMITIVE_WRITERS: Final[dict[str, Writer]] = {
    "null": lambda _: b"",
    "boolean": _write_boolean,
    "int": _write_int,
    "long": write_long,
    "float": _FLOAT.pack,
    "double": _DOUBLE.pack,
    "bytes": write_bytes,
    "string": write_string,
}
_COMPLEX_WRITERS: Final[dict[str, Callable[[Any, Callable[[Any], Writer]], Writer]]] = {
    "record": _record_writer,
    "array": _array_writer,
    "map": _map_writer,
}


# Reading


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return an integer of at most 64 bits and the position after it."""
    byte = data[at]
    if byte < 0x80:
        return byte >> 1 ^ -(byte & 1), at + 1
    zigzag = byte & 0x7F
    for shift in range(7, 70, 7):  # ten bytes at most: 64 bits, seven in each
        at += 1
        byte = data[at]
        zigzag |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise ValueError("an integer of more than ten bytes")
    if zigzag >> 64:
        raise ValueError("an integer beyond 64 bits")
    return zigzag >> 1 ^ -(zigzag & 1), at + 1


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Return some bytes and the position after them; never more than ``data`` holds."""
    at, end = _extent(data, at)
    return data[at:end], end


def read_string(data: bytes, at: int) -> tuple[str, int]:
    """Return a text and the position after it."""
    at, end = _extent(data, at)
    return data[at:end].decode(), end


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Return where a value with its length before it begins and ends."""
    size, at = read_long(data, at)
    end = at + size
    if size < 0 or end > len(data):
        raise ValueError("a length beyond the message")
    return at, end


def _read_int(data: bytes, at: int) -> tuple[int, int]:
    number, at = read_long(data, at)
    if not -0x8000_0000 <= number <= 0x7FFF_FFFF:
        raise ValueError("an integer beyond 32 bits")
    return number, at


def _read_boolean(data: bytes, at: int) -> tuple[bool, int]:
    byte = data[at]
    if byte > 1:
        raise ValueError("neither true nor false")
    return byte == 1, at + 1


def _read_float(data: bytes, at: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(data, at)[0], at + 4


def _read_double(data: bytes, at: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(data, at)[0], at + 8


def _record_reader(schema: dict[str, Any], inner: Callable[[Any], Reader]) -> Reader:
    fields = [(field["name"], inner(field["type"])) for field in schema["fields"]]

    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        record = {}
        for name, read_field in fields:
            record[name], at = read_field(data, at)
        return record, at

    return read


def _union_reader(schema: list[Any], inner: Callable[[Any], Reader]) -> Reader:
    if len(schema) == 2 and "null" in schema:
        return _optional_reader(schema, inner)
    branches = [inner(part) for part in schema]

    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch, at = read_long(data, at)
        if branch < 0:
            raise ValueError("a negative branch of a union")
        return branches[branch](data, at)

    return read


def _optional_reader(schema: list[Any], inner: Callable[[Any], Reader]) -> Reader:
    """Return a reader of null and one other type; a branch of two is the byte 0 or 2 (zig-zag of 0 and 1)."""
    null = schema.index("null")
    read_other = inner(schema[1 - null])
    null_byte, other_byte = null << 1, 1 - null << 1

    def read(data: bytes, at: int) -> tuple[Any, int]:
        branch = data[at]
        if branch == null_byte:
            return None, at + 1
        if branch == other_byte:
            return read_other(data, at + 1)
        raise ValueError("neither null nor the other type of a union")

    return read


def _array_reader(schema: dict[str, Any], inner: Callable[[Any], Reader]) -> Reader:
    read_item = inner(schema["items"])

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        count, at = _block_count(data, at)
        while count:
            for _ in range(count):
                item, at = read_item(data, at)
                items.append(item)
            count, at = _block_count(data, at)
        return items, at

    return read


def _map_reader(schema: dict[str, Any], inner: Callable[[Any], Reader]) -> Reader:
    read_value = inner(schema["values"])

    def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        count, at = _block_count(data, at)
        while count:
            for _ in range(count):
                name, at = read_string(data, at)
                items[name], at = read_value(data, at)
            count, at = _block_count(data, at)
        return items, at

    return read


def _block_count(data: bytes, at: int) -> tuple[int, int]:
    """Return how many items follow. Each takes a byte at least, so more than there are bytes is a lie."""
    count, at = read_long(data, at)
    if count < 0:  # the size of the block in bytes follows, for readers that skip it
        count = -count
        _, at = read_long(data, at)
    if count > len(data) - at:
        raise ValueError("a block longer than the message")
    return count, at


def _read_null(_: bytes, at: int) -> tuple[None, int]:
    return None, at


_PRIMITIVE_READERS: Final[dict[str, Reader]] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "int": _read_int,
    "long": read_long,
    "float": _read_float,
    "double": _read_double,
    "bytes": read_bytes,
    "string": read_string,
}
_COMPLEX_READERS: Final[dict[str, Callable[[Any, Callable[[Any], Reader]], Reader]]] = {
    "record": _record_reader,
    "array": _array_reader,
    "map": _map_reader,
}
