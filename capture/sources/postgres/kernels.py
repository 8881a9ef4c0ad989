"""PostgreSQL's text of a whole column, as typed values: what :mod:`capture.sources.postgres.values` does for one value.

A kernel serves a column only if it gives for every value exactly what the row-wise converter gives. Anything else
(verbatim values, forms that PostgreSQL never sends) raises Unserved, and the column is converted value by value. So
kernels are strict: Arrow's parsers take some forms that Python's do not, and those must not get through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from capture import text_kernels
from schemas.columnar.arrays import Unserved, binary, data_of, gather, join, lengths_of
from schemas.columnar.typed import Booleans, Decimals, Longs, Texts
from schemas.table import Kind, ValueType

if TYPE_CHECKING:
    from schemas.columnar.images import Kernel
    from schemas.columnar.typed import Typed

_EPOCH: Final = b"1970-01-01 "
_ZONE: Final = b"+00"


def kernel(value_type: ValueType) -> Kernel:
    """Return the kernel of a type's columns; it raises Unserved."""
    if value_type.kind in _TEXTS:
        return text_kernels.text
    if value_type.kind is Kind.DECIMAL:
        return text_kernels.where_present(text_kernels.decimal(value_type.scale or 0))
    convert = _CONVERTERS.get(value_type.kind)
    return _none if convert is None else text_kernels.where_present(convert)


def _none(_texts: pa.BinaryArray) -> Typed:
    raise Unserved


def _interval(texts: pa.BinaryArray) -> Texts:
    text_kernels.require(pc.all(pc.starts_with(texts, "P"), min_count=0).as_py())
    return text_kernels.text(texts)


def _zoned_timestamp(texts: pa.BinaryArray) -> Texts:
    """Return ``...T...Z`` for ``... ...+00``: in UTC only byte 10 and the end differ."""
    offsets, data = text_kernels.dense(texts)
    starts, ends = offsets[:-1], offsets[1:]
    text_kernels.require(text_kernels.all_lengths(texts, 14, None) and data.max(initial=0) < 0x80)
    text_kernels.require((data[starts + 10] == ord(" ")).all())
    text_kernels.require(all((data[ends - 3 + i] == byte).all() for i, byte in enumerate(_ZONE)))
    data = data.copy()
    data[starts + 10] = ord("T")
    data[ends - 3] = ord("Z")
    return Texts(gather(data, starts, ends - 2))


def _boolean(texts: pa.BinaryArray) -> Booleans:
    return Booleans(pc.equal(texts, _TRUE).to_numpy(zero_copy_only=False), None)


def _variable_decimal(texts: pa.BinaryArray) -> Decimals:
    """Return the digits after the point, and all digits as one integer."""
    offsets, data = text_kernels.dense(texts)
    points = np.flatnonzero(data == ord("."))
    owners = np.searchsorted(offsets, points, "right") - 1
    after = offsets[1:][owners] - 1 - points
    text_kernels.require((owners[1:] > owners[:-1]).all() and (after > 0).all() and (points > offsets[owners]).all())
    text_kernels.require((data[points - 1] != ord("-")).all())
    scales = np.zeros(len(texts), np.int64)
    scales[owners] = after
    before = np.zeros(len(offsets), np.int32)
    np.cumsum(scales > 0, out=before[1:])
    return Decimals(scales, text_kernels.unscaled(binary(offsets - before, np.delete(data, points))))


def _bytes(texts: pa.BinaryArray) -> Texts:
    r"""Return what the hexadecimal digits behind ``\x`` stand for."""
    text_kernels.require(text_kernels.all_lengths(texts, 2, None) and not (lengths_of(texts) & 1).any())
    offsets, data = text_kernels.dense(texts)
    digits = _NIBBLES[data_of(gather(data, offsets[:-1] + 2, offsets[1:]))]
    text_kernels.require((digits < 16).all())
    before = np.arange(len(offsets), dtype=np.int32)
    return Texts(binary(offsets // 2 - before, digits[0::2] << 4 | digits[1::2]))


def _time(texts: pa.BinaryArray) -> Longs:
    """Return microseconds since midnight: Arrow reads a time of day as one of the epoch's first."""
    text_kernels.require(text_kernels.all_lengths(texts, 8, 15))
    return Longs(text_kernels.parsed(join([_EPOCH, texts]), pa.timestamp("us"), np.int64), None)


_TRUE: Final = pa.scalar(b"t", pa.binary())
_NIBBLES: Final = np.array(
    [int(chr(i), 16) if chr(i) in "0123456789abcdefABCDEF" else 255 for i in range(256)], np.uint8
)
_TEXTS: Final = {Kind.STRING, Kind.JSON, Kind.XML, Kind.UUID, Kind.ENUM, Kind.LTREE, Kind.TSVECTOR}
_CONVERTERS: Final[dict[Kind, Kernel]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: text_kernels.integer,
    Kind.INT32: text_kernels.integer,
    Kind.INT64: text_kernels.long,
    Kind.FLOAT32: text_kernels.single,
    Kind.FLOAT64: text_kernels.double,
    Kind.BYTES: _bytes,
    Kind.VARIABLE_DECIMAL: _variable_decimal,
    Kind.DATE: text_kernels.date,
    Kind.MICRO_TIME: _time,
    Kind.MICRO_TIMESTAMP: text_kernels.timestamp,
    Kind.ZONED_TIMESTAMP: _zoned_timestamp,
    Kind.INTERVAL: _interval,
}
