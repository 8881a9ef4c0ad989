"""The application at the demo's source: fills it, plays the day, and is asked for its rows at the end."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pymysql
from pymysql.cursors import SSCursor

from operate.demo import checks, day, mariadb_source, source_tables
from operate.demo.checks import Equality
from runtime import mysql, postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymysql.connections import Connection

    from operate.demo.data import DataSet
    from operate.demo.day import Scene
    from operate.local.server import Say

NAME = "ferryman demo"


class Application(Protocol):
    """An application and its database; its connection is opened anew after the server was killed."""

    #: The kind of database for people, for the pipeline file, and its server in the local stack.
    title: str
    type: str
    server: str

    def scenes(self) -> list[Scene]:
        """Return the day in its SQL."""

    def fill(self, url: str, data: DataSet, say: Say) -> dict[str, int]:
        """Make and fill the tables; return the rows of each."""

    def play(self, url: str, scene: Scene) -> int:
        """Run one transaction; return the rows that it changed for good."""

    def compare(self, url: str, target: psycopg.Connection[Any], table: str) -> Equality:
        """Compare a table with the target's in full, by other means than `ferryman validate`."""


class PostgresApplication:
    """See :class:`Application`."""

    title = "PostgreSQL"
    type = "postgresql"
    server = "postgresql"

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None

    def scenes(self) -> list[Scene]:
        """Return the day in PostgreSQL's SQL."""
        return day.scenes(day.POSTGRESQL)

    def fill(self, url: str, data: DataSet, say: Say) -> dict[str, int]:
        """Make and fill the tables."""
        return source_tables.create(self._connected(url), data, say)

    def play(self, url: str, scene: Scene) -> int:
        """Run one transaction."""
        return day.play(self._connected(url), scene)

    def compare(self, url: str, target: psycopg.Connection[Any], table: str) -> Equality:
        """Compare by COPY on both sides."""
        return checks.compare(self._connected(url), target, table)

    def _connected(self, url: str) -> psycopg.Connection[Any]:
        if self._connection is not None:
            with suppress(psycopg.OperationalError):
                self._connection.execute("SELECT 1")
                return self._connection
            self._connection.close()
        self._connection = postgres.connect(url, application_name=NAME, autocommit=True)
        return self._connection


class MariaDBApplication:
    """See :class:`Application`."""

    title = "MariaDB"
    type = "mariadb"
    server = "mariadb"

    def __init__(self) -> None:
        self._connection: Connection[Any] | None = None

    def scenes(self) -> list[Scene]:
        """Return the day in MariaDB's SQL."""
        return day.scenes(mariadb_source.MARIADB)

    def fill(self, url: str, data: DataSet, say: Say) -> dict[str, int]:
        """Make and fill the tables."""
        return mariadb_source.create(self._connected(url), data, say)

    def play(self, url: str, scene: Scene) -> int:
        """Run one transaction."""
        return mariadb_source.play(self._connected(url), scene)

    def compare(self, url: str, target: psycopg.Connection[Any], table: str) -> Equality:
        """Compare the values that both drivers give: nothing of ferryman's own conversions takes part."""
        names = [row[0] for row in target.execute(f"SELECT * FROM {table} LIMIT 0").description or ()]
        columns = ", ".join(names)
        with self._connected(url).cursor(SSCursor) as cursor:
            cursor.execute(f"SELECT {columns} FROM {table}")
            ours = _counted(iter(cursor.fetchone, None))
        with target.transaction(), target.cursor("rows") as theirs:
            theirs.itersize = 10_000
            theirs.execute(f"SELECT {', '.join(map(postgres.quote, names))} FROM {table}".encode())
            there = _counted(theirs)
        with self._connected(url).cursor() as cursor:
            cursor.execute(f"SHOW COLUMNS FROM {table}")
            same = {str(row[0]) for row in cursor.fetchall()} == set(names)
        mismatches = (ours - there).total() + (there - ours).total()
        return Equality(table, ours.total(), mismatches if same else max(1, ours.total()))

    def _connected(self, url: str) -> Connection[Any]:
        if self._connection is not None:
            with suppress(pymysql.MySQLError):
                self._connection.ping(reconnect=False)
                return self._connection
        self._connection = mysql.connect(url, program_name=NAME, local_infile=True)
        return self._connection


def _counted(rows: Iterable[Sequence[Any]]) -> Counter[bytes]:
    """Count rows by a hash of their values."""
    return Counter(hashlib.blake2b(repr([_plain(v) for v in row]).encode(), digest_size=12).digest() for row in rows)


def _plain(value: Any) -> Any:
    """Return a value as both drivers mean it: moments in UTC without a zone, numbers without their type."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    return str(value) if isinstance(value, Decimal) else value


APPLICATIONS: dict[str, type[PostgresApplication | MariaDBApplication]] = {
    "postgresql": PostgresApplication,
    "mariadb": MariaDBApplication,
}
