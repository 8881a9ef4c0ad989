"""Differences of a JSON value, as PARTIAL_UPDATE_ROWS logs them -> the new value, binary JSON like the old one. Pure.

What does not fit the old value, in any way, is an error: no new value is guessed.

Sources: MySQL, ``sql-common/json_dom.h`` (``Json_dom``), ``sql/json_diff.cc`` (``Json_diff_vector::read_binary``,
``apply_json_diffs``), ``sql/json_path.cc`` (the text of a path), ``sql/json_binary.h`` (the format).
"""

from __future__ import annotations

import json
import re
import struct
from typing import Final

from capture.sources.mysql.row_images import json_binary as one
from capture.sources.mysql.row_images.json_binary import JsonError
from capture.sources.mysql.row_images.rows import packed

#: A value: an object's by key, an array's, or any other with its type, as a document of its own.
Node = dict[bytes, "Node"] | list["Node"] | bytes
#: A step of a path: a key, or a place in an array.
Leg = bytes | int

_REPLACE, _INSERT, _REMOVE = range(3)
#: One step of a path: a key in quotes, or as it is where it is an identifier; or a place in an array.
_LEG: Final = re.compile(r'\.(?:("(?:[^"\\]|\\.)*")|([^."\[]+))|\[(\d+)\]')
_SIZES: Final = {
    one.LITERAL: 1, one.INT16: 2, one.UINT16: 2, one.INT32: 4, one.UINT32: 4, one.INT64: 8, one.UINT64: 8,
    one.DOUBLE: 8,
}  # fmt: skip


def applied(old: bytes, differences: bytes) -> bytes:
    """Return the value that differences make of an old one; raises JsonError."""
    try:
        document, at = parsed(old), 0
        while at < len(differences):
            at = _apply(document, differences, at)
        if at != len(differences):
            raise JsonError("differences that end too soon")
        return stored(document)
    except JsonError:
        raise
    except (IndexError, KeyError, OverflowError, ValueError, struct.error) as error:
        raise JsonError(f"differences that do not fit the old value ({type(error).__name__})") from None


# --- differences ------------------------------------------------------------------------------------------------------


def _apply(document: Node, data: bytes, at: int) -> int:
    """Apply the difference that begins at ``at``; return where it ends."""
    operation = data[at]
    path, at = _string(data, at + 1)
    *way, last = _legs(path.decode())
    holder = document
    for leg in way:
        holder = _child(holder, leg)
    if operation == _REMOVE:
        _replace(holder, last, None)
        return at
    value, at = _string(data, at)
    if operation == _REPLACE:
        _replace(holder, last, parsed(value))
    elif operation == _INSERT:
        _insert(holder, last, parsed(value))
    else:
        raise JsonError("an unknown operation")
    return at


def _replace(holder: Node, leg: Leg, value: Node | None) -> None:
    """Put another value in the place of one that is there; None: remove it."""
    _child(holder, leg)
    if isinstance(holder, dict) and isinstance(leg, bytes):
        holder.pop(leg)
        if value is not None:
            holder[leg] = value
    elif isinstance(holder, list) and isinstance(leg, int):
        holder[leg : leg + 1] = [] if value is None else [value]


def _insert(holder: Node, leg: Leg, value: Node) -> None:
    if isinstance(holder, dict) and isinstance(leg, bytes) and leg not in holder:
        holder[leg] = value
    elif isinstance(holder, list) and isinstance(leg, int):
        holder.insert(leg, value)  # behind the last one where the place lies beyond: the log has it as it was asked for
    else:
        raise JsonError("a value is inserted where none can be")


def _child(holder: Node, leg: Leg) -> Node:
    if isinstance(holder, dict) and isinstance(leg, bytes):
        return holder[leg]
    if isinstance(holder, list) and isinstance(leg, int):
        return holder[leg]
    raise JsonError("a path that the old value does not have")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a string behind its length, and where it ends."""
    size, at = packed(data, at)
    return one.cut(data, at, size), at + size


def _legs(path: str) -> list[Leg]:
    """Return the steps of a path, one at least; raises JsonError."""
    if not path.startswith("$") or path == "$":
        raise JsonError("a path without steps")
    legs, at = list[Leg](), 1
    while at < len(path):
        found = _LEG.match(path, at)
        if found is None:
            raise JsonError("a path that cannot be read")
        quoted, name, place = found.groups()
        legs.append(int(place) if place else (name or json.loads(quoted, strict=False)).encode())
        at = found.end()
    return legs


# --- values -----------------------------------------------------------------------------------------------------------


def parsed(data: bytes) -> Node:
    """Return what a document holds; raises JsonError, IndexError or struct.error for bytes that are none."""
    return _parsed(data[1:], data[0], 0, 0)


def _parsed(data: bytes, kind: int, at: int, depth: int) -> Node:
    if depth > one.DEEPEST:
        raise JsonError("nested too deeply")
    if kind in (one.SMALL_OBJECT, one.LARGE_OBJECT):
        return _object(data, at, one.SMALL if kind == one.SMALL_OBJECT else one.LARGE, depth)
    if kind in (one.SMALL_ARRAY, one.LARGE_ARRAY):
        layout = one.SMALL if kind == one.SMALL_ARRAY else one.LARGE
        return _values(data, at, at + layout.head.size, layout, depth)
    return bytes([kind]) + one.cut(data, at, _size(data, kind, at))


def _object(data: bytes, at: int, layout: one.Layout, depth: int) -> Node:
    count, _ = layout.head.unpack_from(data, at)
    keys = at + layout.head.size
    entries = layout.key.iter_unpack(one.cut(data, keys, count * layout.key.size))
    names = [one.cut(data, at + start, length) for start, length in entries]
    return dict(zip(names, _values(data, at, keys + count * layout.key.size, layout, depth), strict=True))


def _values(data: bytes, at: int, values: int, layout: one.Layout, depth: int) -> list[Node]:
    """Return the values of the container at ``at`` whose entries of values begin at ``values``."""
    count, _ = layout.head.unpack_from(data, at)
    found = []
    for kind, value in layout.value.iter_unpack(one.cut(data, values, count * layout.value.size)):
        if kind in layout.inline:
            raw = value.to_bytes(layout.place, "little")
            found.append(bytes([kind]) + raw[: _SIZES[kind]])
        else:
            found.append(_parsed(data, kind, at + value, depth + 1))
    return found


def _size(data: bytes, kind: int, at: int) -> int:
    """Return how many bytes a value that is no container has."""
    if kind in _SIZES:
        return _SIZES[kind]
    if kind not in (one.STRING, one.OPAQUE):
        raise JsonError("an unknown type")
    return one.counted(data, at + (kind == one.OPAQUE))[1] - at


def stored(node: Node) -> bytes:
    """Return a document, in the large layout whatever its size; keys in the server's order."""
    if isinstance(node, bytes):
        return node
    keys = sorted(node, key=lambda name: (len(name), name)) if isinstance(node, dict) else []
    values = [node[name] for name in keys] if isinstance(node, dict) else node
    layout = one.LARGE
    at = layout.head.size + len(keys) * layout.key.size + len(values) * layout.value.size
    entries, content = b"", [b"".join(keys)]
    for name in keys:
        entries += layout.key.pack(at, len(name))
        at += len(name)
    for value in values:
        whole = stored(value)
        if whole[0] in layout.inline:
            entries += layout.value.pack(whole[0], int.from_bytes(whole[1:], "little"))
        else:
            entries += layout.value.pack(whole[0], at)
            content.append(whole[1:])
            at += len(whole) - 1
    kind = one.LARGE_OBJECT if isinstance(node, dict) else one.LARGE_ARRAY
    return bytes([kind]) + layout.head.pack(len(values), at) + entries + b"".join(content)
