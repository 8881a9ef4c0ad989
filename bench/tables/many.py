"""Very many small tables, and changes that come to each of them every second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

#: Rows that a table gets at a time, in a transaction of its own.
ROWS_AT_A_TIME = 10

#: Each second every table gets its rows once; the tables take turns evenly.
_PROCEDURE = f"""
CREATE PROCEDURE insert_everywhere(tables int, seconds int) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    early float;
BEGIN
    FOR i IN 0 .. tables * seconds - 1 LOOP
        early := extract(epoch FROM began - clock_timestamp()) + i::float / tables;
        IF early > 0 THEN
            PERFORM pg_sleep(early);
        END IF;
        EXECUTE format('INSERT INTO many_%s SELECT id, id %% 1000, md5(id::text) FROM generate_series(%s, %s) id',
                       i % tables, 2 + i / tables * {ROWS_AT_A_TIME}, 1 + (i / tables + 1) * {ROWS_AT_A_TIME});
        COMMIT;
    END LOOP;
END $$"""


class Many:
    """The tables ``many_0`` .. ``many_<count - 1>``; the first one stands for all where one is asked for."""

    name = "many_0"
    mark = "id = 1"

    def __init__(self, count: int) -> None:
        self.count = count

    def create(self, connection: psycopg.Connection, rows: int) -> None:
        """Make all tables with ``rows`` rows each, and the procedure."""
        for number in range(self.count):
            connection.execute(f"CREATE TABLE many_{number} (id bigint PRIMARY KEY, n int NOT NULL, v text NOT NULL)")
            self.insert_into(connection, number, 1, rows)
        connection.execute(_PROCEDURE)

    def insert(self, connection: psycopg.Connection, first: int, last: int) -> None:
        """Insert the rows ``first``..``last`` into the first table."""
        self.insert_into(connection, 0, first, last)

    def insert_into(self, connection: psycopg.Connection, number: int, first: int, last: int) -> None:
        """Insert the rows ``first``..``last`` into one table."""
        connection.execute(
            f"INSERT INTO many_{number} SELECT id, id % 1000, md5(id::text) FROM generate_series({first}, {last}) id"
        )

    def change(self, connection: psycopg.Connection, seconds: int) -> None:
        """Let each table get its rows once a second; returns after so many seconds, or later."""
        connection.execute("CALL insert_everywhere(%s, %s)", (self.count, seconds))

    def every(self, select: str, step: int = 1) -> str:
        """Return a query that joins the results of ``select`` (with ``{table}`` in it) of every ``step``-th table."""
        return " UNION ALL ".join(select.format(table=f"many_{number}") for number in range(0, self.count, step))
