"""Kernels for the neutral form of :mod:`tests.support.strategies`: columns of it as typed values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from schemas.columnar.arrays import Unserved
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts
from schemas.table import Kind
from schemas.values import Verbatim
from tests.support.strategies import freeze, thaw

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.columnar.typed import Typed
    from schemas.table import ValueType

LONGS = {Kind.INT16, Kind.INT32, Kind.INT64, Kind.DATE, Kind.MICRO_TIME, Kind.MICRO_TIMESTAMP}
#: A kind that has no kernel at all, as some have in every source.
WITHOUT = Kind.BITS


def kernel(value_type: ValueType) -> Callable[[pa.BinaryArray], Typed]:
    """Return the kernel of the neutral form; verbatim values are not served, as in every source."""

    def served(frozen: pa.BinaryArray) -> Typed:
        values = [None if cell is None else thaw(cell) for cell in frozen.to_pylist()]
        if value_type.kind is WITHOUT or any(isinstance(value, Verbatim) for value in values):
            raise Unserved
        return typed(value_type.kind, values)

    return served


def typed(kind: Kind, values: list[object]) -> Typed:
    """Return values of a kind as the typed column that carries them."""
    null = np.array([value is None for value in values], np.bool_)
    mask = null if null.any() else None
    if kind in LONGS:
        return Longs(np.array([value or 0 for value in values], np.int64), mask)
    if kind is Kind.BOOLEAN:
        return Booleans(np.array([bool(value) for value in values], np.bool_), mask)
    if kind in {Kind.FLOAT32, Kind.FLOAT64}:
        width = np.float32 if kind is Kind.FLOAT32 else np.float64
        return Floats(np.array([0.0 if value is None else value for value in values], width), mask)
    if kind is Kind.VARIABLE_DECIMAL:
        scales = [value["scale"] if isinstance(value, dict) else 0 for value in values]
        unscaled = [value["value"] if isinstance(value, dict) else None for value in values]
        return Decimals(np.array(scales, np.int64), pa.array(unscaled, pa.binary()))
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    return Texts(pa.array(texts, pa.binary()))


def freezer(value_type: ValueType) -> Callable[[Typed], pa.BinaryArray]:
    """Return the renderer of the neutral form for typed columns: the counterpart of ``strategies.freezer``."""

    def rendered(column: Typed) -> pa.BinaryArray:
        values = untyped(value_type.kind, column)
        return pa.array([None if value is None else freeze(value) for value in values], pa.binary())

    return rendered


def untyped(kind: Kind, column: Typed) -> list[object]:
    """Return the values of a typed column: the inverse of :func:`typed`."""
    match column:
        case Longs(values, null) | Booleans(values, null) | Floats(values, null):
            gone = np.zeros(len(values), np.bool_) if null is None else null
            return [None if missing else value for value, missing in zip(values.tolist(), gone, strict=True)]
        case Decimals(scales, unscaled):
            pairs = zip(scales.tolist(), unscaled.to_pylist(), strict=True)
            return [None if value is None else {"scale": scale, "value": value} for scale, value in pairs]
        case Texts(values):
            binary = kind in {Kind.BYTES, Kind.DECIMAL, Kind.BITS}
            return [value if value is None or binary else value.decode() for value in values.to_pylist()]
    raise AssertionError(column)
