"""Messages -> events by column: the same values as :class:`schemas.codec_decode.BlockDecoder` gives.

Single events with verbatim values go through it and are put back in their places; what cannot be walked goes through
it as a whole, so that it says which event cannot be read and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from schemas.avro import column_branch, field_names, row_fields
from schemas.block import Op
from schemas.codec_decode import BlockDecoder, UnreadableEventError
from schemas.columnar.arrays import Unserved, nulls_of
from schemas.columnar.block import Columns, Part, chosen, parts_of
from schemas.columnar.encode import FEWEST, MANY
from schemas.columnar.read import read_union, reader
from schemas.columnar.received import ReceivedColumns
from schemas.columnar.tail import TailReader
from schemas.columnar.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from schemas.codec_decode import Renderer
    from schemas.columnar.arrays import Ints, Mask
    from schemas.columnar.read import Read
    from schemas.columnar.received import AnyReceived
    from schemas.columnar.tails import Lists, Tail
    from schemas.columnar.typed import Typed
    from schemas.table import ValueType

    #: For a value type: makes escaped COPY text of a typed column; raises Unserved.
    ColumnRenderer = Callable[[ValueType], Callable[[Typed], pa.BinaryArray]]

_ABSENT, _PRESENT = 0, 2
#: The operations that an event with (an old image, a new image) may have, as a table by the code of their letters.
_OPS_OF: Final = {
    images: np.isin(np.arange(256), [ord(op.value) for op in ops])
    for images, ops in {
        (False, True): (Op.READ, Op.CREATE, Op.UPDATE),
        (True, True): (Op.CREATE, Op.UPDATE),
        (True, False): (Op.DELETE,),
        (False, False): (Op.TRUNCATE,),
    }.items()
}


class _Column(NamedTuple):
    null_branch: int
    read: Read
    render: Callable[[Typed], pa.BinaryArray]


class ColumnDecoder:
    """Reads the events that one envelope schema wrote.

    ``renderer`` is the row-wise decoder's, ``column_renderer`` its counterpart for typed columns. From ``fewest``
    messages on columns are faster. ``reference_rows`` counts the events that were not served in columns. Raises
    ContractError for a schema that is no envelope of this contract.
    """

    def __init__(
        self, envelope: dict[str, Any], renderer: Renderer, column_renderer: ColumnRenderer, fewest: int = FEWEST
    ) -> None:
        self.reference_rows = 0
        self._fewest = fewest
        self._reference = BlockDecoder(envelope, renderer)
        self.table = self._reference.table
        self._places = {name: i for i, name in enumerate(field_names(self.table))}
        self._tail = TailReader(self.table.connector)
        try:
            self._columns: list[_Column] | None = self._compile(envelope, column_renderer)
        except Unserved:
            self._columns = None

    def decode(self, values: Sequence[bytes], offsets: Sequence[int], start: int = 0) -> AnyReceived:
        """Return the events of message values; arguments and errors are those of BlockDecoder.decode."""
        if len(values) >= self._fewest and self._columns:
            try:
                return self._columnar(self._columns, values, offsets, start)
            except (Unserved, UnreadableEventError):
                pass
        self.reference_rows += len(values)
        return self._reference.decode(values, offsets, start)

    def _compile(self, envelope: dict[str, Any], column_renderer: ColumnRenderer) -> list[_Column]:
        """Return how the columns are read; raises Unserved for a column of another type than its kind has."""
        compiled = []
        for column, field in zip(self.table.columns, row_fields(envelope), strict=True):
            avro, null = column_branch(field)
            compiled.append(_Column(2 * null, reader(column.type.kind, avro), column_renderer(column.type)))
        return compiled

    def _columnar(
        self, columns: list[_Column], values: Sequence[bytes], offsets: Sequence[int], start: int
    ) -> ReceivedColumns:
        walk = Walk(values)
        parts, at = _read_images(walk, columns, walk.starts + start)
        tail = self._tail.read(walk, at)
        _check_operations(parts, tail)
        parts = [self._with_unsent(part, tail) for part in parts]
        odd = np.flatnonzero(tail.odd)
        if len(odd):
            parts = self._with_odd(parts, odd, values, offsets, start)
        return ReceivedColumns(
            self.table, tail.ops, parts, tail.orders, tail.last, tail.key_change, tail.origins, tail.committed_us,
            np.array(offsets, np.int64),
        )  # fmt: skip

    def _with_unsent(self, part: Part, tail: Tail) -> Part:
        """Mark what the events list as not sent."""
        return Part(
            part.places,
            self._unsent(part.before, part.places, tail.unavailable_before),
            self._unsent(part.after, part.places, tail.unavailable),
        )

    def _unsent(self, images: Columns | None, places: Ints, lists: Lists) -> Columns | None:
        which = lists.which[places]
        if not (which >= 0).any():
            return images
        if images is None:
            raise Unserved
        unsent: list[Mask | None] = list(images.unsent)
        for i, names in enumerate(lists.names):
            listed = which == i
            for column in self._columns_named(names) if listed.any() else ():
                null = nulls_of(images.values[column])
                if null is None or not null[listed].all():
                    raise Unserved
                before = unsent[column]
                unsent[column] = listed if before is None else before | listed
        return Columns(len(images), images.values, tuple(unsent))

    def _columns_named(self, names: tuple[str, ...]) -> set[int]:
        found = {self._places[name] for name in names if name in self._places}
        if len(found) != len(names):
            raise Unserved
        return found

    def _with_odd(
        self, parts: list[Part], odd: Ints, values: Sequence[bytes], offsets: Sequence[int], start: int
    ) -> list[Part]:
        """Return the parts with the images of some events as the row-wise decoder reads them."""
        if len(odd) > MANY * len(values):
            raise Unserved
        self.reference_rows += len(odd)
        indexes = odd.tolist()
        decoded = self._reference.decode([values[i] for i in indexes], [offsets[i] for i in indexes], start)
        stays = np.arange(len(values))
        stays[odd] = -1
        kept = [chosen(part, stays) for part in parts]
        added = [Part(odd[part.places], part.before, part.after) for part in parts_of(decoded.before, decoded.after)]
        return [part for part in (*kept, *added) if len(part.places)]


def _read_images(walk: Walk, columns: list[_Column], at: Ints) -> tuple[list[Part], Ints]:
    """Read the row images, grouped by which of them there are; return the positions behind them too."""
    old = _present(walk, at)
    at = at + 1
    with_old = np.flatnonzero(old)
    before, at[with_old] = _read_image(walk, columns, at[with_old])
    new = _present(walk, at)
    at = at + 1
    parts = []
    for has_old in (False, True):
        places = np.flatnonzero(new & (old == has_old))
        if len(places):
            after, at[places] = _read_image(walk, columns, at[places])
            parts.append(Part(places, _of(before, with_old, places) if has_old else None, after))
    only_old = np.flatnonzero(old & ~new)
    if len(only_old):
        parts.append(Part(only_old, _of(before, with_old, only_old), None))
    return parts, at


def _present(walk: Walk, at: Ints) -> Mask:
    branch = walk.byte(at)
    if ((branch != _ABSENT) & (branch != _PRESENT)).any():
        raise Unserved
    present: Mask = branch == _PRESENT
    return present


def _read_image(walk: Walk, columns: list[_Column], at: Ints) -> tuple[Columns, Ints]:
    values = []
    for column in columns:
        typed, at = read_union(walk, at, column.null_branch, column.read)
        values.append(column.render(typed))
    return Columns(len(at), tuple(values), (None,) * len(columns)), at


def _of(images: Columns, have: Ints, wanted: Ints) -> Columns:
    """Return the images at some places, given those at all places that have any."""
    return images if len(have) == len(wanted) else images.take(np.searchsorted(have, wanted))


def _check_operations(parts: list[Part], tail: Tail) -> None:
    """Raise Unserved for an event with images that its operation cannot have."""
    without = np.ones(len(tail.ops), np.bool_)
    for part in parts:
        without[part.places] = False
        allowed = _OPS_OF[part.before is not None, part.after is not None]
        if not allowed[tail.ops[part.places]].all():
            raise Unserved
    if not _OPS_OF[False, False][tail.ops[without]].all():
        raise Unserved
