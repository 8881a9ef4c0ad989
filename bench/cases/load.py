"""The rows that are there at the start: table -> topic (``snapshot``), then topic -> empty target (``apply-load``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from bench import limits, measure, watch
from bench.tables import MARK

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.process import Process
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.tables import Table
    from bench.world import World


def run(rig: Rig, table: Table, rows: int, snapshot: Result | None, apply_load: Result | None, turn: int = 0) -> None:
    """Measure one or both stages once, for each subject; every second turn the subjects come in reverse order."""
    with rig.world(table) as world:
        _run(rig, world, rows, snapshot, apply_load, turn)


def _run(rig: Rig, world: World, rows: int, snapshot: Result | None, apply_load: Result | None, turn: int) -> None:
    with psycopg.connect(world.source, autocommit=True) as connection:
        world.table.create(connection, rows)
    subjects = rig.subjects(world, turn)
    for subject in subjects:
        subject.announce()
        figures = measure.captured(subject, world, rows, rows + subject.opening, _mark(world, subject))
        _remove_mark(world)
        if snapshot is not None:
            snapshot.add(subject.name, figures)
    if snapshot is not None:
        snapshot.limits = [limits.copy_out(world, rows)]
    if apply_load is not None:
        _apply(world, subjects, rows, apply_load)


def _apply(world: World, subjects: list[Subject], rows: int, result: Result) -> None:
    whole = [subject for subject in subjects if subject.applies]
    for subject in whole:
        seen: Callable[[watch.Target], int] = watch.Target.count
        figures = measure.applied(subject, world, rows, rows + 1, "true", seen)
        result.add(subject.name, figures)
    result.limits = limits.copy_in(world, rows, limits.target_of_ours(whole))


def _mark(world: World, subject: Subject) -> Callable[[Process], None]:
    """Let a last row follow the snapshot, so that the end of the topic can be seen in a target."""

    def mark(process: Process) -> None:
        with (
            watch.Topic(world.kafka, subject.topic(world.table.name)) as topic,
            psycopg.connect(world.source, autocommit=True) as connection,
        ):
            before = topic.end()
            world.table.insert(connection, MARK, MARK)
            topic.wait(before + 1, process)

    return mark


def _remove_mark(world: World) -> None:
    with psycopg.connect(world.source, autocommit=True) as connection:
        connection.execute(f"DELETE FROM {world.table.name} WHERE {world.table.mark}")
