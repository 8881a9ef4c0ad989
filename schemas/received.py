"""What the codec makes of messages: some events of one table version, as apply sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.block import Op, Origin, Row
    from schemas.table import TableSchema


@dataclass(slots=True)
class Received:
    """Decoded events of one table version in one topic partition, in offset order, as parallel lists.

    Values are COPY text of the target, already escaped (None = NULL, UNSENT = not sent). ``orders[i]`` is the packed
    order key, opaque here. ``offsets[i]`` is the Kafka offset. The two halves of a key change are two events with
    ``key_change`` set: a DELETE whose ``before`` holds the old key, then a CREATE whose ``before`` holds the old key
    and whose ``after`` is the new row (unsent columns UNSENT). ``committed_us[i]``: commit time at the source.
    """

    table: TableSchema
    ops: list[Op] = field(default_factory=list)
    before: list[Row | None] = field(default_factory=list)
    after: list[Row | None] = field(default_factory=list)
    orders: list[bytes] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    key_change: list[bool] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    committed_us: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ops)
