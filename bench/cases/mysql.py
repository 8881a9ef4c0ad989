"""MySQL or MariaDB as the source: table -> topic (``snapshot-mysql``), binary log -> topic (``stream-mysql``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import limits_mysql, measure
from bench.tables.standard_mysql import StandardMySQL
from runtime import mysql

if TYPE_CHECKING:
    from bench.result import Result
    from bench.rig import Rig

_MESSAGES_OF_TEN = 11


def snapshot(rig: Rig, rows: int, result: Result, turn: int = 0) -> None:
    """Measure every subject once."""
    table = StandardMySQL()
    with rig.world(table) as world:
        with mysql.connect(world.source, program_name="bench", database=world.namespace) as connection:
            table.create(connection, rows)
        for subject in rig.subjects(world, turn):
            subject.announce()
            result.add(subject.name, measure.captured(subject, world, rows, rows + subject.opening))
        result.limits = [limits_mysql.read_table(world, rows)]


def stream(rig: Rig, rows: int, result: Result, turn: int = 0) -> None:
    """Measure every subject once, over the same backlog."""
    table, base = StandardMySQL(), rows // 2
    with rig.world(table) as world:
        subjects = rig.subjects(world, turn)
        with mysql.connect(world.source, program_name="bench", database=world.namespace) as connection:
            table.create(connection, base)
            for subject in subjects:
                subject.announce()
                subject.keep_changes(base)
            begin = limits_mysql.place(world)
            table.change(connection, rows, base)
        for subject in subjects:
            figures = measure.captured(subject, world, rows, rows * _MESSAGES_OF_TEN // 10)
            result.add(subject.name, figures)
        result.limits = [limits_mysql.read_log(world, begin, rows)]
