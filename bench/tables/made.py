"""Tables of any width: their columns are made from a few kinds, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.tables import MARK

if TYPE_CHECKING:
    import psycopg

#: Type and value of a column, of which the number is ``n``, in the row with the key ``id``.
KINDS = (
    ("int", "(id * 7919 + {n}) % 1000003"),
    ("text", "'value ' || substr(md5((id + {n})::text), 1, 12)"),
    ("numeric(12,2)", "((id * 31 + {n}) % 100000000)::numeric / 100"),
    ("timestamptz", "timestamptz '2024-01-01 00:00:00Z' + (id + {n}) * interval '1.000001 seconds'"),
    ("bool", "(id + {n}) % 3 = 0"),
    ("double precision", "(id + {n}) / 7.0::float8"),
    ("date", "date '2024-01-01' + ((id + {n}) % 1000)::int"),
    ("bigint", "id * {n} + 1"),
)


class Made:
    """A table ``name`` with the key ``id`` and so many columns in all."""

    def __init__(self, name: str, columns: int) -> None:
        self.name = name
        self.mark = f"id = {MARK}"
        chosen = [(n, *KINDS[(n - 1) % len(KINDS)]) for n in range(1, columns)]
        self.definition = ", ".join(["id bigint PRIMARY KEY", *(f"c{n} {kind} NOT NULL" for n, kind, _ in chosen)])
        self._values = ", ".join(["id", *(value.format(n=n) for n, _, value in chosen)])

    def create(self, connection: psycopg.Connection, rows: int) -> None:
        """Make it with the rows 1..``rows``, statistics included."""
        connection.execute(f"CREATE TABLE {self.name} ({self.definition})".encode())
        if rows:
            self.insert(connection, 1, rows)
            connection.execute(f"VACUUM ANALYZE {self.name}".encode())

    def insert(self, connection: psycopg.Connection, first: int, last: int) -> None:
        """Insert the rows ``first``..``last`` in one statement."""
        rows = f"SELECT id::bigint FROM generate_series({first}, {last}) id"
        connection.execute(f"INSERT INTO {self.name} SELECT {self._values} FROM ({rows}) s".encode())


def wide() -> Made:
    """Return a table of 100 columns, about 1.3 kB a row."""
    return Made("wide", 100)


def narrow() -> Made:
    """Return a table of 3 columns, about 35 bytes a row."""
    return Made("narrow", 3)
