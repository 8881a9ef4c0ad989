"""The table ``standard`` and its changes, made inside the server so that making them costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.tables import MARK

if TYPE_CHECKING:
    import psycopg

TABLE = "standard"

#: Ten columns, about 200 bytes a row as text.
CREATE = f"""
CREATE TABLE {TABLE} (
    id bigint PRIMARY KEY,
    customer int NOT NULL,
    quantity int NOT NULL,
    name text NOT NULL,
    remark text NOT NULL,
    price numeric(12,2) NOT NULL,
    changed timestamptz NOT NULL,
    active bool NOT NULL,
    token uuid NOT NULL,
    details jsonb NOT NULL
)"""

#: The values of a row of which the key is ``id`` and the version ``v``; no two rows are alike, none is compressible
#: beyond what real rows are.
VALUES = """
    (id * 7919 + v) % 1000003,
    (id + v) % 100,
    'customer ' || substr(md5(id::text), 1, 20),
    'order of ' || md5((id + v)::text) || ' shipped in part, rest later',
    ((id * 31 + v) % 100000000)::numeric / 100,
    timestamptz '2024-01-01 00:00:00Z' + id * interval '1.000001 seconds' + v * interval '1 day',
    id % 3 = 0,
    md5((id * 3)::text)::uuid,
    jsonb_build_object('state', 'open', 'step', id % 1000, 'ok', id % 2 = 0)
"""

COLUMNS = "id, customer, quantity, name, remark, price, changed, active, token, details"

#: One call makes transactions of 50 inserts, 40 updates and 10 deletes. Rows 1..base must exist; half as many as
#: there are changes are touched, each once, scattered.
_CHANGES = f"""
CREATE PROCEDURE make_changes(transactions int, base bigint) LANGUAGE plpgsql AS $$
DECLARE
    t int;
BEGIN
    FOR t IN 0 .. transactions - 1 LOOP
        INSERT INTO {TABLE} ({COLUMNS})
            SELECT id, {VALUES} FROM (SELECT base + t * 50 + i AS id, 0 AS v FROM generate_series(1, 50) i) s;
        UPDATE {TABLE} SET (customer, quantity, name, remark, price, changed, active, token, details) =
            (SELECT {VALUES} FROM (SELECT {TABLE}.id AS id, 1 AS v) s)
            WHERE id = ANY (ARRAY(SELECT ((t * 50 + i)::bigint * 999983) % base + 1 FROM generate_series(0, 39) i));
        DELETE FROM {TABLE}
            WHERE id = ANY (ARRAY(SELECT ((t * 50 + i)::bigint * 999983) % base + 1 FROM generate_series(40, 49) i));
        COMMIT;
    END LOOP;
END $$"""


class Standard:
    """The table with its rows, and the mix of changes over them."""

    name = TABLE
    mark = f"id = {MARK}"

    def create(self, connection: psycopg.Connection, rows: int) -> None:
        """Make the table with the rows 1..``rows`` in their first version, statistics included."""
        connection.execute(CREATE)
        self.insert(connection, 1, rows)
        connection.execute(f"VACUUM ANALYZE {TABLE}")

    def insert(self, connection: psycopg.Connection, first: int, last: int) -> None:
        """Insert the rows ``first``..``last`` in one statement."""
        connection.execute(
            f"INSERT INTO {TABLE} ({COLUMNS}) SELECT id, {VALUES} "
            f"FROM (SELECT id::bigint, 0 AS v FROM generate_series({first}, {last}) id) s"
        )

    def change(self, connection: psycopg.Connection, changes: int, base: int) -> None:
        """Commit ``changes`` changes in transactions of 100: 50 % inserts, 40 % updates, 10 % deletes.

        The rows 1..``base`` must be there, at least half as many as there are changes.
        """
        connection.execute("SET synchronous_commit = off")
        connection.execute(_CHANGES)
        connection.execute("CALL make_changes(%s, %s)", (changes // 100, base))
