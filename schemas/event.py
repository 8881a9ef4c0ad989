"""ChangeEvent: the row-wise view of a block, for tests, small blocks and everything that looks at single rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.columnar.block import rows_of
from schemas.order import OrderKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.block import Op, Origin, Row, Transaction
    from schemas.columnar.block import AnyBlock
    from schemas.table import TableSchema


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One row of a block with everything that the block says of it."""

    table: TableSchema
    op: Op
    before: Row | None
    after: Row | None
    order: OrderKey
    last: bool
    transaction: Transaction
    origin: Origin
    key_change: bool


def events(block: AnyBlock) -> Iterator[ChangeEvent]:
    """Yield the rows of a block one by one, in order."""
    block = rows_of(block)
    for i, op in enumerate(block.ops):
        transaction = block.transactions[block.tx[i]]
        yield ChangeEvent(
            table=block.table,
            op=op,
            before=block.before[i],
            after=block.after[i],
            order=OrderKey(block.incarnation, transaction.position, block.run, block.ordinals[i]),
            last=block.last[i],
            transaction=transaction,
            origin=block.origin,
            key_change=block.key_change[i],
        )
