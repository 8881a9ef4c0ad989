from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from capture.runs import RunBuilder
from schemas.block import Op, Transaction
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.support.blocks import BlockBuilder
from tests.support.strategies import texts

INT = ValueType(Kind.INT64)
VERSIONS = {
    name: [TableSchema("s", name, (Column("k", INT, key_position=1), *[Column(f"c{i}", INT) for i in range(version)]))
           for version in (0, 1)]
    for name in "ab"
}  # fmt: skip

_rows = st.tuples(st.sampled_from("ab"), st.integers(0, 1))
_transactions = st.lists(st.lists(_rows, max_size=8), max_size=6)


@given(_transactions, st.sets(st.integers(0, 60)), texts)
def test_runs_hold_the_rows_that_blocks_built_row_by_row_hold(txs: list, takes: set[int], id_: str) -> None:
    blocks, runs, serial = BlockBuilder(), RunBuilder(), 0
    expected, found = defaultdict(list), defaultdict(list)
    for position, rows in enumerate(txs, 1):
        transaction = Transaction(position, 0, id_)
        blocks.begin(transaction)
        runs.begin(transaction)
        for name, version in rows:
            table = VERSIONS[name][version]
            blocks.row(table, Op.CREATE, None, (b"%d" % serial,))
            runs.sink(name, table)((b"%d" % serial,))
            serial += 1
            if serial in takes:
                collect(blocks, runs, expected, found)
                assert not runs.between
        blocks.commit()
        runs.commit()
        assert runs.between
        if position + 100 in takes:
            collect(blocks, runs, expected, found)
    collect(blocks, runs, expected, found)
    assert found == expected


def collect(blocks: BlockBuilder, runs: RunBuilder, expected: dict, found: dict) -> None:
    """Take from both, and add each row with all that is said of it to its table's list."""
    for block in blocks.take():
        transactions = [block.transactions[i] for i in block.tx]
        expected[block.table.name] += zip(
            [block.table] * len(block), block.after, transactions, block.ordinals, block.last, strict=True
        )
    for run in runs.take():
        transactions = [run.transactions[i] for i in run.tx()]
        found[run.version.name] += zip(
            [run.version] * len(run), run.rows, transactions, run.ordinals().tolist(), run.last().tolist(), strict=True
        )
        assert run.lists() == (run.tx().tolist(), run.ordinals().tolist(), run.last().tolist())
