"""Where sources live: databases of a run, made on a server and dropped with whatever still holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import psycopg

from bench import databases

if TYPE_CHECKING:
    from collections.abc import Callable


class Site(Protocol):
    """One server of one kind of source."""

    #: The ``type`` in a pipeline file.
    kind: str

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""

    def namespace(self, name: str) -> str:
        """Return what stands before a table's name in patterns and topics."""

    def drop(self, name: str, url: str) -> None:
        """Drop it."""

    def version(self) -> dict[str, str]:
        """Return the server's version under its kind."""


class PostgreSQLSite:
    """A PostgreSQL server."""

    kind = "postgresql"

    def __init__(self, server: str) -> None:
        self._server = server

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""
        return databases.create(self._server, name)

    def namespace(self, name: str) -> str:
        """Return the schema."""
        del name
        return "public"

    def drop(self, name: str, url: str) -> None:
        """Drop it, with its slots."""
        del name
        databases.drop(url)

    def version(self) -> dict[str, str]:
        """Return the server's version."""
        with psycopg.connect(self._server) as connection:
            return {self.kind: databases.one(connection, "SHOW server_version").split()[0]}


class MySQLSite:
    """A MySQL or MariaDB server: its databases are its schemas, its URL names none."""

    def __init__(self, kind: str, server: str) -> None:
        self.kind = kind
        self._server = server

    def create(self, name: str) -> str:
        """Make an empty database and return the server's URL."""
        self._run(f"CREATE DATABASE {name}")
        return self._server

    def version(self) -> dict[str, str]:
        """Return the server's version."""
        return {self.kind: self._run("SELECT version()")}

    def namespace(self, name: str) -> str:
        """Return the database."""
        return name

    def drop(self, name: str, url: str) -> None:
        """Drop it."""
        del url
        self._run(f"DROP DATABASE {name}")

    def _run(self, statement: str) -> str:
        from runtime import mysql  # noqa: PLC0415 - its driver is an extra

        with mysql.connect(self._server, program_name="bench") as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return str(row[0]) if row else ""


#: By kind of source, and the server's name in the local stack is the kind.
SITES: dict[str, Callable[[str], Site]] = {
    "postgresql": PostgreSQLSite,
    "mysql": lambda server: MySQLSite("mysql", server),
    "mariadb": lambda server: MySQLSite("mariadb", server),
}
