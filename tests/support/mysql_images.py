"""Table maps and row images as a server writes them, and the values that they mean: made here, not by the decoder.

Sources as in ``capture/sources/mysql/row_images/wire.py``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from capture.sources.mysql.row_images.column_meta import CHARACTER_BYTES, ColumnMeta
from capture.sources.mysql.row_images.table_map import TableMap
from capture.sources.mysql.row_images.wire import Wire, WireType

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: A value: its source form, and its bytes in an image (with their length where they have one).
Cell = tuple[bytes, bytes]

CODECS: Final = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "latin1": "cp1252", "utf16": "utf-16-be", "ucs2": "utf-16-be"}

ALPHABETS: Final = {"utf8mb4": "中😀", "utf8mb3": "中", "latin1": "€ß", "utf16": "中😀", "ucs2": "中\ue000"}


@dataclass(frozen=True)
class Column:
    """A column with what draws its values."""

    wire: Wire
    meta: ColumnMeta
    cells: SearchStrategy[Cell]


# --- values -----------------------------------------------------------------------------------------------------------

INTEGERS: Final = {
    "tinyint": (WireType.TINY, 1), "smallint": (WireType.SHORT, 2), "mediumint": (WireType.INT24, 3),
    "int": (WireType.LONG, 4), "bigint": (WireType.LONGLONG, 8),
}  # fmt: skip


@st.composite
def integers(draw: Any) -> Column:
    name = draw(st.sampled_from(sorted(INTEGERS)))
    unsigned = draw(st.booleans())
    kind, size = INTEGERS[name]
    low, high = (0, (1 << 8 * size) - 1) if unsigned else (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1)
    numbers = st.integers(low, high) | st.sampled_from([low, high, 0])
    cells = numbers.map(lambda n: (str(n).encode(), n.to_bytes(size, "little", signed=not unsigned)))
    return Column(Wire(kind), ColumnMeta("", name, unsigned=unsigned), cells)


def packed_decimal(unscaled: int, precision: int, scale: int) -> bytes:
    """Return a DECIMAL as it is stored: groups of nine digits, the odd ones outside, bits turned."""
    digits = str(abs(unscaled)).zfill(precision)
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    groups = [whole[: len(whole) % 9]] + [whole[i : i + 9] for i in range(len(whole) % 9, len(whole), 9)]
    full = len(fraction) // 9 * 9
    groups += [fraction[i : i + 9] for i in range(0, full, 9)] + [fraction[full:]]
    sizes = {0: 0, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 4}
    out = bytearray(b"".join(int(group or 0).to_bytes(sizes[len(group)], "big") for group in groups))
    out[0] ^= 0x80
    return bytes(out) if unscaled >= 0 else bytes(byte ^ 0xFF for byte in out)


@st.composite
def decimals(draw: Any) -> Column:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(precision, 30)))
    most = 10**precision - 1

    def cell(unscaled: int) -> Cell:
        digits = str(abs(unscaled)).zfill(scale + 1)
        text = f"{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}" if scale else digits
        return f"{'-' if unscaled < 0 else ''}{text}".encode(), packed_decimal(unscaled, precision, scale)

    cells = (st.integers(-most, most) | st.sampled_from([0, most, -most, 1, -1])).map(cell)
    meta = ColumnMeta("", "decimal", precision=precision, scale=scale)
    return Column(Wire(WireType.NEWDECIMAL, precision, scale), meta, cells)


def float_text(value: float) -> bytes:
    """Return a double as the server writes it, by another way than the decoder: through Decimal."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return b"-0" if sign else b"0"
    stripped = text.rstrip("0")
    exponent = int(exponent) + len(text) - len(stripped)
    adjusted = exponent + len(stripped) - 1
    if -16 < adjusted < 15:
        out = format(Decimal((0, tuple(map(int, stripped)), exponent)), "f")
    else:
        out = f"{stripped[0]}{'.' + stripped[1:] if stripped[1:] else ''}e{adjusted}"
    return f"{'-' if sign else ''}{out}".encode()


def doubles() -> SearchStrategy[Column]:
    values = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e15, 1e14, 1e-15, 1e-16])
    cells = values.map(lambda v: (float_text(v), struct.pack("<d", v)))
    return st.just(Column(Wire(WireType.DOUBLE, 8), ColumnMeta("", "double"), cells))


def floats() -> SearchStrategy[Column]:
    values = st.floats(width=32, allow_nan=False, allow_infinity=False)
    cells = values.map(lambda v: (float_text(v), struct.pack("<f", v)))
    return st.just(Column(Wire(WireType.FLOAT, 4), ColumnMeta("", "float"), cells))


def _fraction(micros: int, fsp: int) -> tuple[str, bytes]:
    """Return a fraction as digits and as stored: hundredths, ten-thousandths or millionths."""
    size = (fsp + 1) // 2
    digits = f"{micros:06d}"[:fsp]
    return (f".{digits}" if fsp else ""), int(digits.ljust(2 * size, "0") or 0).to_bytes(size, "big")


_DAYS: Final = st.tuples(st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31))
_CLOCK: Final = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999))


def dates() -> SearchStrategy[Column]:
    def cell(day: tuple[int, int, int]) -> Cell:
        year, month, number = day
        packed = year << 9 | month << 5 | number
        return f"{year:04}-{month:02}-{number:02}".encode(), packed.to_bytes(3, "little")

    return st.just(Column(Wire(WireType.DATE), ColumnMeta("", "date"), _DAYS.map(cell)))


@st.composite
def datetimes(draw: Any) -> Column:
    fsp = draw(st.integers(0, 6))

    def cell(moment: tuple[tuple[int, int, int], tuple[int, int, int, int]]) -> Cell:
        (year, month, day), (hour, minute, second, micros) = moment
        digits, stored = _fraction(micros, fsp)
        packed = ((year * 13 + month) << 5 | day) << 17 | hour << 12 | minute << 6 | second
        text = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{digits}"
        return text.encode(), (packed + (1 << 39)).to_bytes(5, "big") + stored

    return Column(
        Wire(WireType.DATETIME2, fsp), ColumnMeta("", "datetime", fsp=fsp), st.tuples(_DAYS, _CLOCK).map(cell)
    )


@st.composite
def timestamps(draw: Any) -> Column:
    from datetime import UTC, datetime, timedelta

    fsp = draw(st.integers(0, 6))

    def cell(moment: tuple[int, int]) -> Cell:
        seconds, micros = moment
        digits, stored = _fraction(micros, fsp)
        text = f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}{digits}"
        if not seconds and not any(stored):
            text = f"0000-00-00 00:00:00{digits}"
        return text.encode(), seconds.to_bytes(4, "big") + stored

    moments = st.tuples(st.integers(0, (1 << 32) - 1) | st.just(0), st.integers(0, 999_999) | st.just(0))
    return Column(Wire(WireType.TIMESTAMP2, fsp), ColumnMeta("", "timestamp", fsp=fsp), moments.map(cell))


@st.composite
def times(draw: Any) -> Column:
    fsp = draw(st.integers(0, 6))
    size = (fsp + 1) // 2

    def cell(time: tuple[bool, int, int, int, int]) -> Cell:
        negative, hour, minute, second, micros = time
        digits, stored = _fraction(micros, fsp)
        number = (hour << 12 | minute << 6 | second) << 8 * size | int.from_bytes(stored, "big")
        sign = "-" if negative and number else ""
        packed = (1 << 8 * (3 + size) - 1) + (-number if negative else number)
        return f"{sign}{hour:02}:{minute:02}:{second:02}{digits}".encode(), packed.to_bytes(3 + size, "big")

    clock = st.tuples(
        st.booleans(), st.integers(0, 838), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999)
    )
    return Column(Wire(WireType.TIME2, fsp), ColumnMeta("", "time", fsp=fsp), clock.map(cell))


def years() -> SearchStrategy[Column]:
    cells = st.integers(0, 255).map(lambda n: (f"{n + 1900 if n else 0:04}".encode(), bytes([n])))
    return st.just(Column(Wire(WireType.YEAR), ColumnMeta("", "year", unsigned=True), cells))


@st.composite
def bits(draw: Any) -> Column:
    length = draw(st.integers(1, 64))
    size = (length + 7) // 8
    cells = st.integers(0, (1 << length) - 1).map(lambda n: (n.to_bytes(size, "big"), n.to_bytes(size, "big")))
    return Column(Wire(WireType.BIT, length), ColumnMeta("", "bit", length=length), cells)


@st.composite
def enums(draw: Any) -> Column:
    labels = tuple(f"é{i}" for i in range(draw(st.sampled_from([1, 3, 300]))))
    size = 1 if len(labels) < 256 else 2
    cells = st.integers(0, len(labels)).map(
        lambda i: (labels[i - 1].encode() if i else b"", i.to_bytes(size, "little"))
    )
    return Column(Wire(WireType.ENUM, size), ColumnMeta("", "enum", charset="utf8mb4", labels=labels), cells)


@st.composite
def sets(draw: Any) -> Column:
    labels = tuple(f"é{i}" for i in range(draw(st.sampled_from([1, 9, 17, 33, 64]))))
    size = {1: 1, 9: 2, 17: 3, 33: 8, 64: 8}[len(labels)]

    def cell(members: int) -> Cell:
        names = [label for i, label in enumerate(labels) if members >> i & 1]
        return ",".join(names).encode(), members.to_bytes(size, "little")

    cells = st.integers(0, (1 << len(labels)) - 1).map(cell)
    return Column(Wire(WireType.SET, size), ColumnMeta("", "set", charset="utf8mb4", labels=labels), cells)


@st.composite
def texts(draw: Any) -> Column:
    charset = draw(st.sampled_from(sorted(CODECS)))
    codec = CODECS[charset]
    content = st.text("ab é\0'\\\n" + ALPHABETS[charset], max_size=20)
    blob = draw(st.booleans())
    if blob:
        wire, kind, length = Wire(WireType.BLOB, size := draw(st.integers(1, 4))), "", None
        kind = ("tinytext", "text", "mediumtext", "longtext")[size - 1]
    else:
        length = draw(st.sampled_from([20, 63, 64, 200]))
        wire, kind = Wire(WireType.VARCHAR, length * CHARACTER_BYTES.get(charset, 1)), "varchar"
        size = 2 if wire.size > 255 else 1

    def cell(text: str) -> Cell:
        stored = text.encode(codec)
        return text.encode(), len(stored).to_bytes(size, "little") + stored

    return Column(wire, ColumnMeta("", kind, charset=charset, length=length), content.map(cell))


@st.composite
def binaries(draw: Any) -> Column:
    kind = draw(st.sampled_from(["binary", "varbinary", "blob", "point"]))
    if kind == "binary":
        length = draw(st.sampled_from([1, 16, 255]))
        cells = st.binary(max_size=length).map(
            lambda b: (b.ljust(length, b"\0"), bytes([len(b.rstrip(b"\0"))]) + b.rstrip(b"\0"))
        )
        return Column(Wire(WireType.STRING, length), ColumnMeta("", kind, length=length), cells)
    if kind == "varbinary":
        length = draw(st.sampled_from([40, 300]))
        wire, size = Wire(WireType.VARCHAR, length), 1 if length < 256 else 2
    else:
        length, size = None, 4 if kind == "point" else 2
        wire = Wire(WireType.GEOMETRY if kind == "point" else WireType.BLOB, size)
    cells = st.binary(max_size=40).map(lambda b: (b, len(b).to_bytes(size, "little") + b))
    return Column(wire, ColumnMeta("", kind, length=length), cells)


def columns() -> SearchStrategy[Column]:
    return st.one_of(
        integers(), decimals(), doubles(), floats(), dates(), datetimes(), timestamps(), times(), years(), bits(),
        enums(), sets(), texts(), binaries(),
    )  # fmt: skip


# --- images and tables ------------------------------------------------------------------------------------------------


def bitmap(flags: list[bool], padding: int = 0) -> bytes:
    """Return bits, the lowest of each byte first; unused ones are ``padding``."""
    number = sum(flag << i for i, flag in enumerate(flags))
    size = (len(flags) + 7) // 8
    if padding:
        number |= ((1 << 8 * size) - 1) ^ ((1 << len(flags)) - 1)
    return number.to_bytes(size, "little")


def image(cells: list[Cell | None]) -> bytes:
    """Return a row image; servers set the bits behind the last column's."""
    return bitmap([cell is None for cell in cells], 1) + b"".join(cell[1] for cell in cells if cell is not None)


def row(cells: list[Cell | None]) -> tuple[bytes | None, ...]:
    """Return what an image means."""
    return tuple(None if cell is None else cell[0] for cell in cells)


def table(found: list[Column]) -> TableMap:
    """Return a table of these columns, with the first as its key."""
    from dataclasses import replace

    metas = [
        replace(column.meta, name=f"c{i}", nullable=bool(i), key_position=None if i else 1)
        for i, column in enumerate(found)
    ]
    return TableMap(7, "shop", "t", tuple(column.wire for column in found), tuple(metas))


def rows_body(width: int, images: list[bytes], *, update: bool = False) -> bytes:
    """Return the body of a row event of version 2, with empty extra data."""
    present = bitmap([True] * width, 1)
    return (7).to_bytes(6, "little") + b"\1\0" + b"\2\0" + packed(width) + present * (1 + update) + b"".join(images)


def packed(number: int) -> bytes:
    """Return a length-encoded integer."""
    if number < 0xFB:
        return bytes([number])
    return b"\xfc" + number.to_bytes(2, "little") if number < 1 << 16 else b"\xfd" + number.to_bytes(3, "little")
