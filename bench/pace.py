"""Single-row transactions at a steady rate, and when each was committed on either side.

The rows are made inside the source server, so that making them costs little. Nothing watches during the run: both
servers note when a transaction was committed (``track_commit_timestamp``), by the same clock; afterwards the rows are
joined by key. A commit is visible within microseconds of that note. The same method serves every subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from bench.tables.standard import COLUMNS, TABLE, VALUES

if TYPE_CHECKING:
    from datetime import datetime

#: The server sleeps for whole milliseconds: at more than 1,000 a second, some rows come directly after another.
_PROCEDURE = f"""
CREATE PROCEDURE insert_singly(first bigint, rows int, per_second float) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    early float;
BEGIN
    FOR i IN 0 .. rows - 1 LOOP
        early := extract(epoch FROM began - clock_timestamp()) + i / per_second;
        IF early > 0 THEN
            PERFORM pg_sleep(early);
        END IF;
        INSERT INTO {TABLE} ({COLUMNS}) SELECT id, {VALUES} FROM (SELECT first + i AS id, 0 AS v) s;
        COMMIT;
    END LOOP;
END $$"""
_COMMITS = f"SELECT id, pg_xact_commit_timestamp(xmin) FROM {TABLE} WHERE id BETWEEN %s AND %s"


def prepare(connection: psycopg.Connection) -> None:
    """Make the procedure."""
    connection.execute(_PROCEDURE)


def insert(connection: psycopg.Connection, first: int, rows: int, per_second: int) -> None:
    """Insert rows with the keys from ``first`` on, a transaction each; returns after rows / per_second, or later."""
    connection.execute("CALL insert_singly(%s, %s, %s)", (first, rows, per_second))


def commits(url: str, first: int, last: int) -> dict[int, datetime]:
    """Return when each of these rows was committed on one side."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute(_COMMITS, (first, last)).fetchall())
