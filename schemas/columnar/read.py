"""Avro fields -> typed columns, by the schemas that :mod:`schemas.avro_types` writes for the kinds of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.avro_types import avro_primitive
from schemas.columnar.arrays import Ints, Mask, Unserved, with_nulls
from schemas.columnar.typed import Booleans, Decimals, Floats, Longs, Texts, spread
from schemas.values import MAX_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.columnar.typed import Typed
    from schemas.columnar.walk import Walk
    from schemas.table import Kind

    #: Reads a value at each position; returns them and the positions after them.
    Read = Callable[[Walk, Ints], tuple[Typed, Ints]]

_INT32: Final = (-(1 << 31), (1 << 31) - 1)


def reader(kind: Kind, avro: Any) -> Read:
    """Return how values of a kind are read; raises Unserved where ``avro`` is not the type that carries the kind."""
    primitive = avro_primitive(kind)
    found = avro["type"] if isinstance(avro, dict) else avro
    if primitive is None:
        return _decimals
    if found != primitive:
        raise Unserved
    return _READERS[primitive]


def read_union(walk: Walk, at: Ints, null_branch: int, read: Read) -> tuple[Typed, Ints]:
    """Read values of a union of null and one type; ``null_branch`` is the byte of its null branch."""
    branch = walk.byte(at)
    if (branch == 2 - null_branch).all():
        return read(walk, at + 1)
    null = branch == null_branch
    _require_branch(branch[~null], 2 - null_branch)
    if read in (_bytes, _strings):
        texts, after = _nullable_texts(walk, at, null)
        if read is _strings:
            require_utf8(texts.values)
        return texts, after
    values, ends = read(walk, at[~null] + 1)
    after = at + 1
    after[~null] = ends
    return spread(values, null), after


def _nullable_texts(walk: Walk, at: Ints, null: Mask) -> tuple[Texts, Ints]:
    """Read texts of which some are null: those are ranges without bytes."""
    starts = at + 1
    ends = starts.copy()
    starts[~null], ends[~null] = walk.text_places(at[~null] + 1)
    return Texts(with_nulls(walk.gather(starts, ends), null)), ends


def _require_branch(found: Any, wanted: int) -> None:
    if (found != wanted).any():
        raise Unserved


def _longs(walk: Walk, at: Ints) -> tuple[Longs, Ints]:
    values, after = walk.longs(at)
    return Longs(values, None), after


def _ints(walk: Walk, at: Ints) -> tuple[Longs, Ints]:
    values, after = walk.longs(at)
    if values.min(initial=0) < _INT32[0] or values.max(initial=0) > _INT32[1]:
        raise Unserved
    return Longs(values, None), after


def _booleans(walk: Walk, at: Ints) -> tuple[Booleans, Ints]:
    values = walk.byte(at)
    if values.max(initial=0) > 1:
        raise Unserved
    return Booleans(values.view(np.bool_), None), at + 1


def _floats(walk: Walk, at: Ints) -> tuple[Floats, Ints]:
    return Floats(walk.fixed(at, 4).view("<f4").reshape(-1), None), at + 4


def _doubles(walk: Walk, at: Ints) -> tuple[Floats, Ints]:
    return Floats(walk.fixed(at, 8).view("<f8").reshape(-1), None), at + 8


def _bytes(walk: Walk, at: Ints) -> tuple[Texts, Ints]:
    values, after = walk.texts(at)
    return Texts(values), after


def _strings(walk: Walk, at: Ints) -> tuple[Texts, Ints]:
    texts, after = _bytes(walk, at)
    require_utf8(texts.values)
    return texts, after


def _decimals(walk: Walk, at: Ints) -> tuple[Decimals, Ints]:
    scales, at = _ints(walk, at)
    if abs(scales.values).max(initial=0) > MAX_SCALE:
        raise Unserved
    unscaled, after = walk.texts(at)
    return Decimals(scales.values, unscaled), after


def require_utf8(texts: pa.BinaryArray) -> None:
    """Raise Unserved unless all texts are UTF-8."""
    try:
        texts.view(pa.string()).validate(full=True)
    except pa.ArrowInvalid:
        raise Unserved from None


_READERS: Final[dict[str, Read]] = {
    "boolean": _booleans,
    "int": _ints,
    "long": _longs,
    "float": _floats,
    "double": _doubles,
    "bytes": _bytes,
    "string": _strings,
}
