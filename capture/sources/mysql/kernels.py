"""The source form of a whole column, as typed values: what :mod:`capture.sources.mysql.values` does for one value.

A kernel serves a column only if it gives for every value exactly what the row-wise converter gives; else it raises
Unserved, and the column is converted value by value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from capture import text_kernels
from capture.sources.mysql.values import is_geometry, is_vector
from schemas.columnar.arrays import Unserved, binary, data_of, join
from schemas.columnar.typed import Texts
from schemas.table import Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from capture.sources.mysql.policy import Policy
    from schemas.columnar.images import Kernel
    from schemas.columnar.typed import Typed
    from schemas.table import Column


def kernel(column: Column, policy: Policy | None = None) -> Kernel:
    """Return the kernel of a column; it raises Unserved. Dates that no calendar has are of their policy, row by row."""
    kind = column.type.kind
    if is_geometry(column) or is_vector(column):
        return _none
    if kind in _TEXTS:
        return _without_nul if policy is not None and policy.symbol else text_kernels.text
    if kind is Kind.DECIMAL:
        return text_kernels.where_present(text_kernels.decimal(column.type.scale or 0))
    if kind is Kind.BITS:
        return text_kernels.where_present(_bits(((column.type.length or 1) + 7) // 8))
    convert = _CONVERTERS.get(kind)
    return _none if convert is None else text_kernels.where_present(convert)


def _none(_texts: pa.BinaryArray) -> Typed:
    raise Unserved


def _without_nul(texts: pa.BinaryArray) -> Texts:
    if not data_of(texts).all():
        raise Unserved
    return text_kernels.text(texts)


def _zoned_timestamp(texts: pa.BinaryArray) -> Texts:
    """Return ``...T...Z`` for ``... ...``, where that is a time."""
    text_kernels.timestamp(texts)
    offsets, data = text_kernels.dense(texts)
    data = data.copy()
    data[offsets[:-1] + 10] = ord("T")
    return Texts(join([binary(offsets, data), b"Z"]))


def _bits(size: int) -> Kernel:
    """Return the kernel of bits in ``size`` bytes, which come with the highest byte first."""

    def convert(values: pa.BinaryArray) -> Texts:
        text_kernels.require(text_kernels.all_lengths(values, size, size))
        turned = data_of(values).reshape(-1, size)[:, ::-1]
        return Texts(binary(np.arange(len(values) + 1, dtype=np.int32) * np.int32(size), np.ascontiguousarray(turned)))

    return convert


_TEXTS: Final = frozenset({Kind.STRING, Kind.JSON, Kind.ENUM, Kind.UUID})
_CONVERTERS: Final[dict[Kind, Kernel]] = {
    Kind.INT16: text_kernels.integer,
    Kind.INT32: text_kernels.integer,
    Kind.INT64: text_kernels.long,
    Kind.FLOAT32: text_kernels.single,
    Kind.FLOAT64: text_kernels.double,
    Kind.BYTES: Texts,
    Kind.DATE: text_kernels.date,
    Kind.MICRO_TIMESTAMP: text_kernels.timestamp,
    Kind.ZONED_TIMESTAMP: _zoned_timestamp,
}
