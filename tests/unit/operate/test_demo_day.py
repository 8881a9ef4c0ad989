"""The played day: in order, and counted honestly."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from operate.demo import day
from operate.demo.day import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class FakeResult:
    rowcount: int

    def fetchone(self) -> tuple[int]:
        return (self.rowcount,)


@dataclass
class FakeConnection:
    """Answers every statement with its row count, and remembers what was committed."""

    counts: dict[str, int]
    committed: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def execute(self, statement: str) -> FakeResult:
        self._open.append(statement)
        return FakeResult(self.counts[statement])

    @contextmanager
    def transaction(self, *, force_rollback: bool) -> Iterator[None]:
        yield
        self.committed += [] if force_rollback else self._open
        self._open = []


def _play(scene: Scene, counts: dict[str, int]) -> tuple[int, list[str]]:
    connection: Any = FakeConnection(counts)
    return day.play(connection, scene), connection.committed


def test_the_scenes_of_the_day_follow_the_clock() -> None:
    clocks = [scene.clock for scene in day.scenes()]

    assert clocks == sorted(clocks)


def test_every_kind_of_change_occurs() -> None:
    statements = [statement.split()[0] for scene in day.scenes() for statement in scene.statements]

    assert {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "ALTER"} == set(statements)
    assert any(not scene.commits for scene in day.scenes())


def test_new_columns_are_added_before_they_are_written() -> None:
    statements = [statement for scene in day.scenes() for statement in scene.statements]
    added = next(i for i, s in enumerate(statements) if "ADD COLUMN cancelled" in s)
    written = next(i for i, s in enumerate(statements) if "SET cancelled" in s)

    assert added < written


def test_the_rows_of_all_statements_of_a_transaction_count() -> None:
    assert _play(Scene("", "", ("A", "B")), {"A": 3, "B": 4}) == (7, ["A", "B"])


def test_what_is_rolled_back_does_not_count() -> None:
    assert _play(Scene("", "", ("A",), commits=False), {"A": 3}) == (0, [])


def test_a_truncate_counts_the_rows_that_it_removes() -> None:
    counts = {"SELECT count(*) FROM t": 5, "TRUNCATE t": -1}

    assert _play(Scene("", "", ("TRUNCATE t",)), counts)[0] == 5


def test_a_change_of_the_schema_counts_no_rows() -> None:
    assert _play(Scene("", "", ("ALTER TABLE t",)), {"ALTER TABLE t": -1})[0] == 0
