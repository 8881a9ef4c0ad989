"""Whole columns of row images in source form: what :mod:`.forms` does for one value. Pure.

Each function gives for every value exactly what the form of its type gives, or raises Unserved for the whole column.
What stands at the place of a null is of no meaning, but does no harm.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from capture.sources.mysql.row_images import charsets, forms, numerals
from capture.sources.mysql.row_images.wire import Wire, WireType, decimal_size, fixed_size
from schemas.calendar import civil
from schemas.columnar.arrays import Unserved, constants, data_of, fixed, join, lengths_of, take

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from capture.sources.mysql.row_images.column_meta import ColumnMeta
    from schemas.columnar.arrays import Bytes, Ints, Mask

    Unsigned = npt.NDArray[np.uint64]
    Whole = Callable[["Words", Ints], pa.BinaryArray]

_ASCII: Final = 0x80
#: Digits that 64 bits hold for certain.
_DIGITS: Final = 18
_DAY_S: Final = 86_400
#: The range in which Arrow writes a double without exponent, as the server does.
_PLAIN: Final = (1e-6, 1e10)


class Words(NamedTuple):
    """Eight bytes from any place of the data on, little-endian; and which rows have no value there."""

    words: Any
    null: Mask | None

    def little(self, at: Ints, size: int) -> Unsigned:
        """Return numbers of ``size`` bytes, little-endian; 0 where there is no value."""
        return self._present(self.words[at] & np.uint64((1 << 8 * size) - 1))

    def big(self, at: Ints, size: int) -> Unsigned:
        """Return numbers of ``size`` bytes, big-endian; 0 where there is no value."""
        return self._present(self.words[at].byteswap() >> np.uint64(64 - 8 * size))

    def _present(self, numbers: Unsigned) -> Unsigned:
        return numbers if self.null is None else np.where(self.null, np.uint64(0), numbers)


def whole(wire: Wire, meta: ColumnMeta) -> Whole | None:
    """Return what reads a column whose values all have the same size; None: there is nothing faster for it."""
    make = _WHOLE.get(wire.type)
    return None if make is None else make(wire, meta)


def strings(wire: Wire, meta: ColumnMeta) -> Callable[[pa.BinaryArray], pa.BinaryArray] | None:
    """Return what makes the source form of values that have a length, where many need nothing; None: see ``whole``."""
    if wire.type not in (WireType.VARCHAR, WireType.STRING, WireType.BLOB):
        return None
    if meta.charset is not None:
        return None if not charsets.keeps_ascii(meta.charset) else _ascii if charsets.decoder(meta.charset) else None
    return _of_length(wire.size) if meta.data_type == "binary" else None


def _ascii(found: pa.BinaryArray) -> pa.BinaryArray:
    if (data_of(found) >= _ASCII).any():
        raise Unserved
    return found


def _of_length(length: int) -> Callable[[pa.BinaryArray], pa.BinaryArray]:
    def served(found: pa.BinaryArray) -> pa.BinaryArray:
        if (lengths_of(found) != length).any():  # zero bytes were cut off, or the value is null
            raise Unserved
        return found

    return served


# --- numbers ----------------------------------------------------------------------------------------------------------


def _texts(numbers: Any) -> pa.BinaryArray:
    """Return numbers as text."""
    return pa.array(numbers).cast(pa.string()).view(pa.binary())


def _integer(wire: Wire, meta: ColumnMeta) -> Whole:
    size, unused = fixed_size(wire) or 0, 64 - 8 * (fixed_size(wire) or 0)

    def read(words: Words, at: Ints) -> pa.BinaryArray:
        numbers = words.little(at, size)
        if meta.unsigned:
            return _texts(numbers)
        return _texts((numbers << np.uint64(unused)).view(np.int64) >> unused)

    return read


def _double(words: Words, at: Ints) -> pa.BinaryArray:
    return _floating(words.little(at, 8).view(np.float64))


def _float(words: Words, at: Ints) -> pa.BinaryArray:
    return _floating(words.little(at, 4).astype(np.uint32).view(np.float32).astype(np.float64))


def _floating(values: npt.NDArray[np.float64]) -> pa.BinaryArray:
    sizes = np.abs(values)
    if ((sizes != 0) & ~((sizes >= _PLAIN[0]) & (sizes < _PLAIN[1]))).any():
        return pa.array([numerals.double_text(value) for value in values.tolist()], pa.binary())
    return _texts(values)


def _decimal(wire: Wire, _meta: ColumnMeta) -> Whole | None:
    """Return what reads packed decimals of few enough digits on each side of the point."""
    before, scale = wire.size - wire.scale, wire.scale
    if max(before, scale) > _DIGITS:
        return None
    parts = _groups(before, scale)

    def read(words: Words, at: Ints) -> pa.BinaryArray:
        negative = words.big(at, 1) < _SIGN
        sides = [np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)]
        for i, (side, digits, offset, size) in enumerate(parts):
            stored = words.big(at + offset, size) ^ np.uint64(0 if i else _SIGN << (8 * size - 8))
            group = np.where(negative, stored ^ np.uint64((1 << 8 * size) - 1), stored).astype(np.int64)
            if words.null is not None:
                group[words.null] = 0
            if (group >= 10**digits).any():
                raise Unserved
            sides[side] = sides[side] * 10**digits + group
        negative &= (sides[0] != 0) | (sides[1] != 0)
        pieces: list[pa.BinaryArray | bytes] = [take(_SIGNS, negative.astype(np.int8))] if negative.any() else []
        pieces.append(_texts(sides[0]))
        if scale:
            pieces += [b".", fixed(_digits(sides[1], scale))]
        return join(pieces) if len(pieces) > 1 else _texts(sides[0])

    return read


def _digits(numbers: Ints, count: int) -> Bytes:
    """Return the last ``count`` digits of numbers."""
    fours = [_FOUR[numbers // 10**i % 10_000] for i in range(0, count, 4)][::-1]
    return np.concatenate(fours, axis=1)[:, -count:]


def _groups(before: int, scale: int) -> list[tuple[int, int, int, int]]:
    """Return of each group of digits the side of the point, how many digits, and where how many bytes lie."""
    digits = [(0, before % 9)] + [(0, 9)] * (before // 9) + [(1, 9)] * (scale // 9) + [(1, scale % 9)]
    out, at = [], 0
    for side, count in digits:
        if count:
            size = decimal_size(count, 0)
            out.append((side, count, at, size))
            at += size
    return out


_SIGN: Final = 0x80
_SIGNS: Final = constants([b"", b"-"])


# --- dates and times --------------------------------------------------------------------------------------------------

#: The digits of 0 to 99 and of 0 to 9999.
_TWO: Final = np.frombuffer(b"".join(b"%02d" % i for i in range(100)), np.uint8).reshape(-1, 2)
_FOUR: Final = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), np.uint8).reshape(-1, 4)
_DATE: Final = np.frombuffer(b"0000-00-00", np.uint8)
_MOMENT: Final = np.frombuffer(b"0000-00-00 00:00:00", np.uint8)


def _year(words: Words, at: Ints) -> pa.BinaryArray:
    stored = words.little(at, 1)
    return fixed(_FOUR[np.where(stored == 0, np.uint64(0), stored + np.uint64(1900))])


def _date(words: Words, at: Ints) -> pa.BinaryArray:
    stored = words.little(at, 3).astype(np.int64)
    out = np.tile(_DATE, (len(at), 1))
    _put_day(out, stored >> 9, stored >> 5 & 15, stored & 31)
    return fixed(out)


def _datetime(wire: Wire, _meta: ColumnMeta) -> Whole:
    def read(words: Words, at: Ints) -> pa.BinaryArray:
        stored = words.big(at, 5).astype(np.int64) & 0x7F_FFFF_FFFF
        day, time = stored >> 17, stored & 0x1FFFF
        out = _moments(len(at), wire.size)
        _put_day(out, (day >> 5) // 13, (day >> 5) % 13, day & 31)
        _put_clock(out, time >> 12, time >> 6 & 63, time & 63)
        _put_fraction(out, words, at + 5, wire.size)
        return fixed(out)

    return read


def _timestamp(wire: Wire, _meta: ColumnMeta) -> Whole:
    size = (wire.size + 1) // 2

    def read(words: Words, at: Ints) -> pa.BinaryArray:
        seconds = words.big(at, 4).astype(np.int64)
        zero = seconds == 0
        if size:
            zero &= words.big(at + 4, size) == 0
        days, rest = np.divmod(seconds, _DAY_S)
        out = _moments(len(at), wire.size)
        out[:, :10], out[:, 11:19] = _days()[days], _clocks()[rest]
        if zero.any():
            out[zero, :10] = _DATE
        _put_fraction(out, words, at + 4, wire.size)
        return fixed(out)

    return read


@cache
def _days() -> Bytes:
    """Return the text of each day on which a second of 32 bits lies."""
    days = np.arange((1 << 32) // _DAY_S + 1)
    out = np.tile(_DATE, (len(days), 1))
    _put_day(out, *civil(days))
    return out


@cache
def _clocks() -> Bytes:
    """Return the text of each second of a day."""
    seconds = np.arange(_DAY_S)
    out = _moments(_DAY_S, 0)
    _put_clock(out, seconds // 3600, seconds // 60 % 60, seconds % 60)
    return out[:, 11:].copy()


def _moments(count: int, fsp: int) -> Bytes:
    """Return the text of that many moments, all zero, with a fraction of so many digits."""
    return np.tile(np.concatenate((_MOMENT, np.frombuffer(b".000000"[: fsp + bool(fsp)], np.uint8))), (count, 1))


def _put_day(out: Bytes, year: Ints, month: Ints, day: Ints) -> None:
    if (year > 9999).any():
        raise Unserved
    out[:, 0:4], out[:, 5:7], out[:, 8:10] = _FOUR[year], _TWO[month], _TWO[day]


def _put_clock(out: Bytes, hour: Ints, minute: Ints, second: Ints) -> None:
    out[:, 11:13], out[:, 14:16], out[:, 17:19] = _TWO[hour], _TWO[minute], _TWO[second]


def _put_fraction(out: Bytes, words: Words, at: Ints, fsp: int) -> None:
    """Write the fraction; it is stored with an even number of digits."""
    if not fsp:
        return
    size = (fsp + 1) // 2
    stored = words.big(at, size).astype(np.int64)
    if (stored >= 100**size).any():
        raise Unserved
    if size == 1:
        out[:, 20:] = _TWO[stored][:, :fsp]
    else:
        fours, rest = (stored, None) if size == 2 else np.divmod(stored, 100)
        out[:, 20:24] = _FOUR[fours][:, :fsp]
        if rest is not None:
            out[:, 24:] = _TWO[rest][:, : fsp - 4]


# --- names ------------------------------------------------------------------------------------------------------------


def _named(wire: Wire, meta: ColumnMeta) -> Whole:
    """Return what reads ENUM and SET: each number that occurs is looked up once."""
    size, form = wire.size, forms.reader(wire, meta)

    def read(words: Words, at: Ints) -> pa.BinaryArray:
        if form is None:
            raise AssertionError("names have a form")
        numbers, places = np.unique(words.little(at, size), return_inverse=True)
        return take(constants([form(number.to_bytes(size, "little")) for number in numbers.tolist()]), places)

    return read


_WHOLE: Final[dict[WireType, Callable[[Wire, ColumnMeta], Whole | None]]] = {
    **dict.fromkeys((WireType.TINY, WireType.SHORT, WireType.INT24, WireType.LONG, WireType.LONGLONG), _integer),
    WireType.FLOAT: lambda _, __: _float,
    WireType.DOUBLE: lambda _, __: _double,
    WireType.NEWDECIMAL: _decimal,
    WireType.YEAR: lambda _, __: _year,
    WireType.DATE: lambda _, __: _date,
    WireType.DATETIME2: _datetime,
    WireType.TIMESTAMP2: _timestamp,
    WireType.ENUM: _named,
    WireType.SET: _named,
}
