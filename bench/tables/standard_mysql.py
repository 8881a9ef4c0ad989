"""The table ``standard`` and its changes in MySQL's words, made inside the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.tables import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLE = "standard"

_CREATE = """
CREATE TABLE standard (
    id bigint PRIMARY KEY,
    customer int NOT NULL,
    quantity int NOT NULL,
    name varchar(40) NOT NULL,
    remark varchar(80) NOT NULL,
    price decimal(12,2) NOT NULL,
    changed timestamp(6) NOT NULL,
    active bool NOT NULL,
    token char(36) NOT NULL,
    details json NOT NULL
)"""

#: As in the table for PostgreSQL: values of the row ``id`` in its version ``v``; MySQL 9.7 has no md5().
_VALUES = {
    "customer": "(id * 7919 + {v}) % 1000003",
    "quantity": "(id + {v}) % 100",
    "name": "concat('customer ', left(sha2(id, 256), 20))",
    "remark": "concat('order of ', left(sha2(id + {v}, 256), 32), ' shipped in part, rest later')",
    "price": "((id * 31 + {v}) % 100000000) / 100",
    "changed": "timestamp '2024-01-01 00:00:00' + INTERVAL id * 1000001 + {v} * 86400000000 MICROSECOND",
    "active": "id % 3 = 0",
    "token": "insert(insert(insert(insert(left(sha2(id * 3, 256), 32), 21, 0, '-'), 17, 0, '-'), 13, 0, '-'), "
    "9, 0, '-')",
    "details": "json_object('state', 'open', 'step', id % 1000, 'ok', id % 2 = 0)",
}
#: Rows of a statement.
_STEP = 1_000


class StandardMySQL:
    """The table; ``connection`` is PyMySQL's, in the database of the table."""

    name = TABLE
    mark = f"id = {MARK}"

    def create(self, connection: Any, rows: int) -> None:
        """Make it with the rows 1..``rows``, statistics included."""
        with connection.cursor() as cursor:
            cursor.execute(_CREATE)
        self.insert(connection, 1, rows)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE TABLE {TABLE}")

    def insert(self, connection: Any, first: int, last: int) -> None:
        """Insert the rows ``first``..``last``, a thousand a transaction."""
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (n int PRIMARY KEY)")
            cursor.executemany("INSERT IGNORE INTO numbers VALUES (%s)", [(n,) for n in range(_STEP)])
            for begin in range(first, last + 1, _STEP):
                ids = f"SELECT {begin} + n AS id FROM numbers WHERE n <= {last - begin}"
                cursor.execute(f"INSERT INTO {TABLE} SELECT id, {_values(0)} FROM ({ids}) s")

    def change(self, connection: Any, changes: int, base: int) -> None:
        """Commit ``changes`` changes in transactions of 100: 50 % inserts, 40 % updates, 10 % deletes."""
        updates = ", ".join(f"{name} = {value.format(v=1)}" for name, value in _VALUES.items())
        with connection.cursor() as cursor:
            for turn in range(changes // 100):
                connection.begin()
                ids = " UNION ALL ".join(f"SELECT {base + turn * 50 + i} AS id" for i in range(1, 51))
                cursor.execute(f"INSERT INTO {TABLE} SELECT id, {_values(0)} FROM ({ids}) s")
                keys = [((turn * 50 + i) * 999983) % base + 1 for i in range(50)]
                cursor.execute(f"UPDATE {TABLE} SET {updates} WHERE id IN ({_listed(keys[:40])})")
                cursor.execute(f"DELETE FROM {TABLE} WHERE id IN ({_listed(keys[40:])})")
                connection.commit()


def _values(version: int) -> str:
    return ", ".join(value.format(v=version) for value in _VALUES.values())


def _listed(keys: Iterable[int]) -> str:
    return ", ".join(map(str, keys))
