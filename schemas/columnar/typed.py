"""Columns of values by the Avro type that carries them: what a source's kernels make, and what apply's kernels take.

A null mask of None means that no value is null. What stands at a null place is of no meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import numpy.typing as npt

    from schemas.columnar.arrays import Ints, Mask


class Booleans(NamedTuple):
    """Avro boolean."""

    values: Mask
    null: Mask | None


class Longs(NamedTuple):
    """Avro int and long; the values of an int column fit 32 bits."""

    values: Ints
    null: Mask | None


class Floats(NamedTuple):
    """Avro float and double: which of them the values' own width tells."""

    values: npt.NDArray[np.float32] | npt.NDArray[np.float64]
    null: Mask | None


class Texts(NamedTuple):
    """Avro string and bytes; a string column holds UTF-8. Nulls are the array's own."""

    values: pa.BinaryArray


class Decimals(NamedTuple):
    """The record of a decimal with a scale of its own: digits after the point, unscaled bytes (big-endian)."""

    scales: Ints
    unscaled: pa.BinaryArray


class Written(NamedTuple):
    """Values that are Avro bytes already, of whatever type. Nulls are the array's own."""

    values: pa.BinaryArray


Typed = Booleans | Longs | Floats | Texts | Decimals | Written


def spread(column: Typed, null: Mask) -> Typed:
    """Return a column without nulls with its values at the places that are not null."""
    index = pa.array(np.cumsum(~null) - 1, mask=null)
    match column:
        case Longs(values) | Floats(values) | Booleans(values):
            whole = np.zeros(len(null), values.dtype)
            whole[~null] = values
            return type(column)(whole, null)
        case Decimals(scales, unscaled):
            whole = np.zeros(len(null), np.int64)
            whole[~null] = scales
            return Decimals(whole, pc.take(unscaled, index))
        case Texts(values) | Written(values):
            return type(column)(pc.take(values, index))
