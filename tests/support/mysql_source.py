"""A MySQL or MariaDB database for tests of the source: statements, and sources over it."""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from capture.sources.mysql.source import MySQLSource
from runtime import mysql, mysql_url
from runtime.config import Selection, SourceConfig, server_id


class Database:
    """One database on a server; ``url`` is a superuser's."""

    def __init__(self, url: str, name: str) -> None:
        # Without TLS: its handshakes would take most of the time of a test.
        self.url, self.name = mysql_url.override(url, ssl_mode="DISABLED"), name
        self.database = mysql_url.parse(url).database
        self.conn = mysql.connect(url, program_name="test")

    def run(self, *statements: str) -> None:
        for statement in statements:
            with self.conn.cursor() as cursor:
                cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.conn.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def value(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def config(self, **settings: Any) -> SourceConfig:
        return SourceConfig(**{"type": "mysql", "url": self.url, "server_id": server_id(self.name), **settings})

    def source(self, *, include: str | None = None, **settings: Any) -> MySQLSource:
        selection = Selection.model_validate([{"include": include or f"{self.database}.*"}])
        return MySQLSource(self.name, self.config(**settings), selection)

    def second(self) -> Connection[Any]:
        """Another session."""
        return mysql.connect(self.url, program_name="test")

    def close(self) -> None:
        self.conn.close()
