"""A backlog of changes: slot -> topic (``stream``), then topic -> target that holds rows already (``apply-changes``).

Half the changes are inserts, two in five updates, one in ten deletes, in transactions of 100. All subjects read the
same backlog of the same source, each through a slot of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from bench import limits, measure
from bench.databases import one
from bench.debezium.connectors import Format
from bench.debezium.subject import Debezium
from bench.tables import MARK
from bench.tables.standard import Standard

if TYPE_CHECKING:
    from bench.result import Result
    from bench.rig import Rig
    from bench.subject import Subject
    from bench.watch import Target
    from bench.world import World

#: Messages for ten changes: the delete among them is followed by its tombstone.
_MESSAGES_OF_TEN = 11
#: The peer with its default tombstones is slow: it applies this part of the changes, the last.
_TOMBSTONE_SHARE = 5


def run(rig: Rig, rows: int, stream: Result | None, apply_changes: Result | None, turn: int = 0) -> None:
    """Measure one or both stages once, for each subject; every second turn the subjects come in reverse order."""
    with rig.world(Standard()) as world:
        _run(rig, world, rows, stream, apply_changes, turn)


def _run(rig: Rig, world: World, rows: int, stream: Result | None, apply_changes: Result | None, turn: int) -> None:
    base = rows // 2
    subjects = rig.subjects(world, turn)
    end, slot = _backlog(world, subjects, rows, base)
    for subject in subjects:
        figures = measure.captured(subject, world, rows, _messages(rows) + 1)
        if stream is not None:
            stream.add(subject.name, figures)
    if stream is not None:
        stream.limits = [limits.logical(world, slot, end, rows)]
    if apply_changes is not None:
        whole = [subject for subject in subjects if subject.applies]
        for subject in whole:
            _apply(world, subject, apply_changes, rows, base)
        _apply_default_tombstones(rig, world, apply_changes, rows, base)
        apply_changes.limits = limits.copy_in(world, _left(rows, base), limits.target_of_ours(whole))[::-1]


def _backlog(world: World, subjects: list[Subject], rows: int, base: int) -> tuple[str, str]:
    """Give every subject a slot and the rows in its target, make the changes; return the log's end and a spare slot."""
    table = Standard()
    with psycopg.connect(world.source, autocommit=True) as connection:
        table.create(connection, base)
        for subject in subjects:
            subject.announce()
            subject.keep_changes(base)
            if subject.applies:
                subject.settle(base)
        slot = limits.make_slot(world)
        table.change(connection, rows, base)
        table.insert(connection, MARK, MARK)
        return one(connection, "SELECT pg_current_wal_flush_lsn()"), slot


def _apply(world: World, subject: Subject, result: Result, rows: int, base: int) -> None:
    def changes_seen(target: Target) -> int:
        return 2 * target.count(f"id > {base}")  # every second change is an insert

    figures = measure.applied(subject, world, rows, _left(rows, base), f"id > {base}", changes_seen)
    result.add(subject.name, figures)


def _apply_default_tombstones(rig: Rig, world: World, result: Result, rows: int, base: int) -> None:
    """Measure the peer as it is without the filter, beside the others."""
    if rig.peer is None or Format.AVRO not in rig.formats:
        return
    subject = Debezium(world, rig.peer, Format.AVRO, default_tombstones=True)
    part = rows // _TOMBSTONE_SHARE // 100 * 100
    subject.settle(base)
    subject.skip_to(1 + _messages(rows - part))  # the announced row is the first message
    inserted_before = base + (rows - part) // 2

    def changes_seen(target: Target) -> int:
        return 2 * target.count(f"id > {inserted_before}")

    figures = measure.applied(subject, world, part, _left(part, base), f"id > {inserted_before}", changes_seen)
    figures.extra["rows"] = part
    result.add(subject.name, figures)


def _messages(changes: int) -> int:
    return changes * _MESSAGES_OF_TEN // 10


def _left(changes: int, base: int) -> int:
    """Return how many rows there are after the changes and the marked row."""
    return base + changes // 2 - changes // 10 + 1
