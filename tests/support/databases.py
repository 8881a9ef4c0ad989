"""Databases that live as long as one test."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from runtime import mysql

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Ends whatever holds the slot, and waits until it let go (a minute at most): a slot in use cannot be dropped.
FREE_SLOTS = """
    SELECT slot_name, CASE WHEN active_pid IS NOT NULL THEN pg_terminate_backend(active_pid, 60000) END
    FROM pg_replication_slots WHERE database = %s
"""
DROP_SLOTS = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s"


@contextmanager
def fresh_database(server: str, role: str) -> Iterator[str]:
    """Create an empty database on a server (a superuser's URL), give its URL, and drop it with its slots."""
    name = f"{role}_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(FREE_SLOTS, [name])
            connection.execute(DROP_SLOTS, [name])
            _drop(connection, name)


def _drop(connection: psycopg.Connection[Any], name: str, tries: int = 10) -> None:
    """Drop a database whose sessions may take longer to end than the server waits for them (5 s)."""
    for left in reversed(range(tries)):
        try:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        except psycopg.errors.ObjectInUse:
            if not left:
                raise
        else:
            return


@contextmanager
def fresh_mysql_database(server: str, role: str) -> Iterator[str]:
    """Create an empty database on a MySQL or MariaDB (a superuser's URL), give its URL, and drop it."""
    name = f"{role}_{secrets.token_hex(4)}"
    with mysql.connect(server, program_name="test") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield with_database(server, name)
    finally:
        with mysql.connect(server, program_name="test") as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def with_database(server: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
