"""Binary JSON as MySQL stores it, and the text that it selects: made here, not by the decoder.

Source: MySQL, ``sql/json_binary.h``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.mysql_images import float_text, packed_decimal

if TYPE_CHECKING:
    from random import Random

_LITERALS = {None: b"\0", True: b"\1", False: b"\2"}


@dataclass(frozen=True)
class Unsigned:
    """A number of an unsigned type."""

    number: int


@dataclass(frozen=True)
class Price:
    """A DECIMAL(12,2) among the values."""

    unscaled: int


@dataclass(frozen=True)
class Large:
    """An object or array in the layout of 64 KiB and more."""

    content: Any


def stored(value: Any) -> bytes:
    """Return a document as it is stored."""
    kind, body = _stored(value)
    return bytes([kind]) + body


def selected(value: Any) -> bytes:
    """Return a document as it is selected."""
    return _selected(value).encode()


def named(**values: Any) -> dict[str, Any]:
    """Return an object with its keys in the server's order."""
    return {key: values[key] for key in sorted(values, key=lambda key: (len(key.encode()), key.encode()))}


def _stored(value: Any) -> tuple[int, bytes]:  # noqa: PLR0911 - one for each type
    if isinstance(value, Large):
        return _container(value.content, large=True)
    if isinstance(value, dict | list):
        return _container(value, large=False)
    if value is None or isinstance(value, bool):
        return 4, _LITERALS[value]
    if isinstance(value, Unsigned):
        return next(
            (kind, struct.pack(f, value.number))
            for kind, f, most in ((6, "<H", 16), (8, "<I", 32), (10, "<Q", 64))
            if value.number < 1 << most
        )
    if isinstance(value, int):
        return next(
            (kind, struct.pack(f, value))
            for kind, f, bits in ((5, "<h", 15), (7, "<i", 31), (9, "<q", 63))
            if -1 << bits <= value < 1 << bits
        )
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, Price):
        return 15, b"\xf6" + _counted(b"\x0c\x02" + packed_decimal(value.unscaled, 12, 2))
    return 12, _counted(value.encode())


def _counted(data: bytes) -> bytes:
    size, out = len(data), b""
    while size > 0x7F:
        out += bytes([size & 0x7F | 0x80])
        size >>= 7
    return out + bytes([size]) + data


def _container(content: Any, *, large: bool) -> tuple[int, bytes]:
    place = 4 if large else 2
    inline = (4, 5, 6, 7, 8) if large else (4, 5, 6)
    keys = [key.encode() for key in content] if isinstance(content, dict) else []
    values = [_stored(value) for value in (content.values() if isinstance(content, dict) else content)]
    at = 2 * place + len(keys) * (place + 2) + len(values) * (1 + place)
    key_entries, value_entries, data = b"", b"", b""
    for key in keys:
        key_entries += at.to_bytes(place, "little") + len(key).to_bytes(2, "little")
        at, data = at + len(key), data + key
    for kind, body in values:
        if kind in inline:
            signed = kind in (5, 7)
            number = int.from_bytes(body, "little", signed=signed)
            value_entries += bytes([kind]) + number.to_bytes(place, "little", signed=signed)
        else:
            value_entries += bytes([kind]) + at.to_bytes(place, "little")
            at, data = at + len(body), data + body
    head = len(values).to_bytes(place, "little") + at.to_bytes(place, "little")
    kind = (0 if isinstance(content, dict) else 2) + large
    return kind, head + key_entries + value_entries + data


def _selected(value: Any) -> str:  # noqa: PLR0911 - one for each type
    if isinstance(value, Large):
        return _selected(value.content)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_selected(key)}: {_selected(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_selected, value)) + "]"
    if isinstance(value, Unsigned):
        return str(value.number)
    if isinstance(value, Price):
        sign, digits = "-" if value.unscaled < 0 else "", f"{abs(value.unscaled):03}"
        return f"{sign}{digits[:-2]}.{digits[-2:]}"
    if isinstance(value, float):
        text = float_text(value).decode()
        return text if "." in text or "e" in text else f"{text}.0"
    return json.dumps(value, ensure_ascii=False)


# --- documents of one shape -------------------------------------------------------------------------------------------

_LETTERS = 'ab é😀"\\\n\0\x1f/'
_SCALARS = (
    lambda r: r.choice([None, True, False]),
    lambda r: r.randint(-32_768, 32_767),
    lambda r: Unsigned(r.randint(0, 65_535)),
    lambda r: r.choice([-32_769, 32_768, -(1 << 31), (1 << 31) - 1]),
    lambda r: Unsigned(r.randint(1 << 16, (1 << 32) - 1)),
    lambda r: r.choice([-(1 << 63), (1 << 63) - 1, 1 << 31]),
    lambda r: Unsigned(r.randint(1 << 32, (1 << 64) - 1)),
    lambda r: r.choice([0.5, -0.0, 1.0, 1e100, 1e15, 1e-7, 123456.789, -2.0]),
    lambda r: r.randint(-999, 999) / 8,
    lambda r: "".join(r.choices(_LETTERS, k=r.choice([0, 1, 5, 40]))),
    lambda r: "x" * r.choice([0, 127, 128, 16_383, 16_384]),
    lambda r: Price(r.randint(-(10**12) + 1, 10**12 - 1)),
)


def shape(random: Random, depth: int = 2) -> Any:
    """Return a function that makes documents of one shape."""
    kind = random.randrange(4) if depth else 0
    if kind < 2:
        make = random.choice(_SCALARS)
        return lambda: make(random)
    inner = [shape(random, depth - 1) for _ in range(random.randint(0, 4))]
    wrap = Large if random.random() < 0.3 else lambda content: content
    if kind == 2:
        return lambda: wrap([make() for make in inner])
    keys = random.sample(["a", "b", "ok", "é", "step", "state", 'q"'], len(inner))
    return lambda: wrap(named(**{key: make() for key, make in zip(keys, inner, strict=True)}))
