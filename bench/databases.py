"""Databases of a run: made on a server, and dropped with the slots that still hold them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg


def create(server: str, name: str) -> str:
    """Make a database and return its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def drop(url: str) -> None:
    """Drop a database, with its slots and its sessions."""
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots "
            "WHERE database = %s AND active_pid IS NOT NULL", (name,)
        )  # fmt: skip
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (name,)
        )
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def one(connection: psycopg.Connection, query: str) -> str:
    """Return the one value of a query, as text."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])
