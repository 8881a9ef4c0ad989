"""A MySQL or MariaDB database and a PostgreSQL one, filled by hand, to compare and repair: nobody copies between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg

from operate.validate.crew import Crew
from operate.validate.mysql_origin import MySQLOrigin
from operate.validate.origin import target_end
from operate.validate.table import Comparison
from runtime import mysql
from runtime.config import SourceConfig
from runtime.names import spell
from schemas.positions import TableRecord


class Arrived:
    """A pipeline in which everything has arrived."""

    def catch_up(self) -> bool:
        return True


class Pair:
    """A MySQL database and a PostgreSQL one, filled by hand: nothing of ferryman's took part in it."""

    def __init__(self, source: str, target: str) -> None:
        self.database = urlsplit(source).path[1:]
        settings = SimpleNamespace(conninfo=target)
        self.origin = MySQLOrigin(SimpleNamespace(target=settings), SourceConfig(type="mysql", url=source))
        self.crew = Crew(self.origin.open, lambda: target_end(target), 2)
        self.source = mysql.connect(source, program_name="test")
        self.target_url = target
        self.target = psycopg.connect(target, autocommit=True)
        self.target.execute(f'CREATE SCHEMA "{self.database}"; SET search_path = "{self.database}"')

    def at_source(self, *statements: str) -> None:
        with self.source.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def at_target(self, *statements: str) -> None:
        for statement in statements:
            self.target.execute(statement)

    def plan(self, table: str = "t", *, keyless: bool = False):
        record = TableRecord(run=1, table=spell(self.database, table), topic="x", keyless=keyless)
        return self.origin.plan(self.crew.source, self.crew.target, record)

    def compare(self, table: str = "t", **options: Any) -> tuple[int, int, int, int]:
        """Return rows of the source, and how many are missing, extra and different."""
        tally = Comparison(self.plan(table, **options), self.crew, Arrived()).run()
        assert tally.unsettled == 0
        return tally.rows, tally.missing, tally.extra, tally.different
