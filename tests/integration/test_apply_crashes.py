"""Killed at any of its failpoints, apply goes on where the target says, and applies each event once."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runtime import config
from runtime.failpoints import NAMES
from schemas.block import UNSENT, Op
from schemas.table import Column
from tests.support.apply_feed import Feed, Target, applying, crash, pipeline_file
from tests.support.patience import PATIENCE_S
from tests.unit.apply.histories import TEXT, table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

FAILPOINTS = [name for name in NAMES if name.startswith("apply.")]
#: Places that are passed once per start, or per change of a table; elsewhere the second time is the interesting one.
ONCE = {"apply.takeover", "apply.polled", "apply.before_ddl", "apply.after_ddl"}


def keyed_change(feed: Feed, n: int, rows: dict[int, tuple]) -> None:
    """One transaction that inserts, patches, moves and deletes, and the rows as they are afterwards."""
    first, moved, old = 10 * n, 10 * n + 1, 10 * n - 10
    changes = [
        (Op.CREATE, None, (b"%d" % first, b"new", b"B")),
        (Op.CREATE, None, (b"%d" % (first + 2), b"new", b"B")),
        (Op.UPDATE, None, (b"%d" % first, b"patched", UNSENT)),
        (Op.UPDATE, (b"%d" % (first + 2), UNSENT, UNSENT), (b"%d" % moved, b"moved", UNSENT)),
    ]
    if old in rows:
        changes.append((Op.DELETE, (b"%d" % old, UNSENT, UNSENT), None))
        del rows[old]
    extra = len(feed.table.columns) - 3
    feed.send(feed.transaction(*((op, padded(b, extra), padded(a, extra)) for op, b, a in changes)))
    rows[first], rows[moved] = (first, "patched", "B"), (moved, "moved", "B")


def padded(row: tuple | None, extra: int) -> tuple | None:
    return row and row + (None,) * extra


def keyless_change(feed: Feed, n: int, rows: Counter) -> None:
    """One transaction with equal rows, larger than a batch, some of them removed again."""
    row = (b"%d" % (n % 3), b"same", None)
    feed.send(feed.transaction(*[(Op.CREATE, None, row)] * 30, *[(Op.DELETE, row, None)] * 7))
    rows[(n % 3, "same", None)] += 23


@pytest.mark.timeout(1200)
def test_each_event_is_applied_once_whatever_apply_died_of(
    tmp_path: Path, pipeline_name: str, kafka: str, target_db: str
) -> None:
    path = pipeline_file(tmp_path, pipeline_name, kafka, target_db, batch_rows=10)
    pipeline = config.load(path, {"kafka", "target"})
    keyed = Feed(pipeline, table())
    keyless = Feed(pipeline, replace(table(key=False, full=True), name="u"))
    keyed.load()
    keyless.load()
    rows: dict[int, tuple] = {}
    bag: Counter = Counter()
    deaths = []
    for n, name in enumerate(["", *FAILPOINTS], start=1):
        if name.endswith("_ddl"):
            keyed.register(replace(keyed.table, columns=(*keyed.table.columns, Column(f"c{n}", TEXT))))
        for i in range(3):
            keyed_change(keyed, 3 * n + i, rows)
            keyless_change(keyless, 3 * n + i, bag)
        if name:
            deaths.append(death(path, f"{name}=kill{'' if name in ONCE else '@2'}"))

    target = Target(target_db, pipeline.pipeline)
    with applying(pipeline, "one"):
        for feed in (keyed, keyless):
            target.wait(lambda feed=feed: offsets(target).get(feed.topic, 0) >= feed.end())

    assert [row[:3] for row in target.rows()] == sorted(rows.values())
    assert Counter(target.rows("public.u")) == bag
    changes = 3 * (len(FAILPOINTS) + 1)
    assert counted(target, "public.t") == (2 * changes, changes - 1)
    assert counted(target, "public.u") == (sum(bag.values()) // 23 * 30, sum(bag.values()) // 23 * 7)
    assert deaths == [-signal.SIGKILL] * len(FAILPOINTS)


def death(path: Path, failpoint: str) -> int:
    """Run apply until it dies, and return how."""
    process = crash(path, failpoint)
    try:
        return process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        return 0
    finally:
        process.kill()
        process.wait()


def counted(target: Target, table: str) -> tuple[int, int]:
    statement = 'SELECT inserts, deletes FROM ferryman.table_state WHERE "table" = %s'
    return target.connection.execute(statement, [table]).fetchone()


def offsets(target: Target) -> dict[str, int]:
    return dict(target.connection.execute("SELECT topic, next_offset FROM ferryman.checkpoint").fetchall())
