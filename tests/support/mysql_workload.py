"""Random transactions on a MySQL or MariaDB, by several sessions, and a comparison of all rows with the target's."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql

from runtime import mysql, mysql_url
from runtime.errors import Unreachable
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.cursors import Cursor

TABLES = {
    "accounts": "id int PRIMARY KEY, owner varchar(40) CHARACTER SET latin1, amount decimal(12, 2), seen datetime(6)",
    "pairs": "a varchar(20) COLLATE utf8mb4_bin, b int unsigned, v text, PRIMARY KEY (a, b)",
    "visits": "who int, what varchar(30)",
    "cleared": "id bigint unsigned PRIMARY KEY, v varbinary(30)",
}
ROWS = 600
#: Errors after which a transaction is tried with other rows: a duplicate key, a deadlock, a lock that took too long.
_PASSING = (1062, 1213, 1205)

#: What a writer meets whose server dies.
_DEATHS = (pymysql.err.OperationalError, pymysql.err.InterfaceError, Unreachable)


class Workload:
    """The tables, and sessions that write to them until they are stopped."""

    def __init__(self, url: str, seed: object, writers: int = 2) -> None:
        self.url, self.database, self._seed = url, mysql_url.parse(url).database, seed
        self._writers, self._stop, self._failed = writers, threading.Event(), []
        self._done = Counter[int]()
        self._numbers, self._mortal = count(), False
        self._news = threading.Condition()

    def prepare(self) -> None:
        with mysql.connect(self.url, program_name="workload") as connection, connection.cursor() as cursor:
            for name, columns in TABLES.items():
                cursor.execute(f"CREATE TABLE {name} ({columns})")
            cursor.executemany(
                "INSERT INTO accounts VALUES (%s, %s, %s, now(6))", [(i, f"ö{i}", i) for i in range(ROWS)]
            )
            cursor.executemany("INSERT INTO pairs VALUES (%s, %s, 'x')", [(f"k{i % 9}", i) for i in range(ROWS)])
            cursor.executemany("INSERT INTO visits VALUES (%s, 'first')", [(i % 50,) for i in range(ROWS)])

    @contextmanager
    def running(self, *, mortal: bool = False) -> Iterator[None]:
        """Write as long as the context lasts; ``mortal``: the server may die meanwhile, and a writer ends with it.

        Then nobody truncates: MariaDB empties the table before it logs that, and forgets the one or the other.
        """
        self._stop.clear()
        self._mortal = mortal
        threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(self._writers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)
            if mortal:
                self._failed = [error for error in self._failed if not isinstance(error, _DEATHS)]
            assert self._failed == []

    def progress(self, transactions: int = 20) -> None:
        """Wait until so many more transactions were committed."""
        with self._news:
            goal = self._done.total() + transactions
            assert self._news.wait_for(lambda: self._done.total() >= goal or self._failed, PATIENCE_S)

    @property
    def transactions(self) -> int:
        """How many transactions the sessions have brought to an end so far."""
        return self._done.total()

    def rows(self) -> int:
        """Return how many rows the tables have now."""
        with mysql.connect(self.url, program_name="compare") as connection, connection.cursor() as cursor:
            counts = [cursor.execute(f"SELECT count(*) FROM {table}") and cursor.fetchone() for table in TABLES]
        return sum(int(row[0]) for row in counts if row)

    def write_much(self, rows: int = 4_000) -> None:
        """Commit one transaction of so many new rows, which also changes every account and takes some visits away."""
        self._patiently(self._much, rows)

    def _much(self, cursor: Cursor, rows: int) -> None:
        cursor.execute("UPDATE accounts SET amount = amount + 1")
        cursor.execute("DELETE FROM visits WHERE what = 'much' AND who < 30")
        cursor.executemany("INSERT INTO visits (who, what) VALUES (%s, 'much')", [(i % 50,) for i in range(rows)])

    def alter(self, *, default: bool = False) -> None:
        """Change a table's columns, with a row that brings them; ``default``: older rows get a value by it.

        Of such a column nothing is known once its table was altered again unseen, so ask for that on its own.
        """
        number = next(self._numbers)
        if default:
            self._run_alone(f"ALTER TABLE pairs ADD COLUMN d{number} varchar(9) DEFAULT 'older'")
            self._patiently(_pair, Random(number))
            return
        self._run_alone(
            f"ALTER TABLE accounts ADD COLUMN n{number} int, MODIFY owner varchar({41 + number}) CHARACTER SET latin1"
        )
        self._patiently(_numbered, f"n{number}", number)

    def _run_alone(self, statement: str) -> None:
        with mysql.connect(self.url, program_name="workload") as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 60")
            cursor.execute(statement)

    def _patiently(self, write: Callable[..., None], *arguments: object) -> None:
        """Commit a transaction, again and again while others are in its way."""
        with mysql.connect(self.url, program_name="workload", autocommit=False) as connection:
            for _ in range(50):
                try:
                    with connection.cursor() as cursor:
                        write(cursor, *arguments)
                    connection.commit()
                except pymysql.MySQLError as error:
                    connection.rollback()
                    if error.args[0] not in _PASSING:
                        raise
                else:
                    return
            raise AssertionError("the other writers let no transaction through")

    @contextmanager
    def fresh_table(self) -> Iterator[None]:
        """A table that is new while something happens, so that it is found, made and loaded."""
        name = f"fresh_{next(self._numbers)}"
        with mysql.connect(self.url, program_name="workload") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v varchar(20))")
            cursor.executemany(f"INSERT INTO {name} VALUES (%s, 'fresh')", [(i,) for i in range(400)])
            yield
            cursor.execute(f"DROP TABLE {name}")

    def _run(self, number: int) -> None:
        random = Random(f"{self._seed}:{number}:{self._done.total()}")
        try:
            with mysql.connect(self.url, program_name="workload", autocommit=False) as connection:
                while not self._stop.is_set():
                    self._transaction(connection, random)
                    with self._news:
                        self._done[number] += 1
                        self._news.notify_all()
        except Exception as error:  # noqa: BLE001 - the test reports it
            self._failed.append(error)

    def _transaction(self, connection: Any, random: Random) -> None:
        try:
            with connection.cursor() as cursor:
                for _ in range(random.choice([1, 1, 2, 5, 40])):
                    random.choice(_STEPS)(cursor, random)
            connection.commit() if random.random() < 0.9 else connection.rollback()
        except pymysql.MySQLError as error:
            connection.rollback()
            if error.args[0] not in _PASSING:
                raise
        if random.random() < 0.02 and not self._mortal:
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE TABLE cleared")

    def differences(self, target: str) -> list[str]:
        """Return what differs between both sides, comparing all rows of all tables."""
        found = []
        with mysql.connect(self.url, program_name="compare") as ours, psycopg.connect(target) as theirs:
            for table in TABLES:
                with ours.cursor() as cursor:
                    cursor.execute(f"SELECT * FROM {table}")
                    left = Counter(cursor.fetchall())
                    # By name: a column that was added later may stand at another place in the target.
                    names = ", ".join(column[0] for column in cursor.description)
                right = Counter(theirs.execute(f"SELECT {names} FROM {self.database}.{table}").fetchall())
                if left != right:
                    found.append(f"{table}: {(left - right).total()} missing, {(right - left).total()} extra")
        return found


def _insert(cursor: Cursor, random: Random) -> None:
    id_ = random.randrange(ROWS * 2)
    cursor.execute(
        "INSERT INTO accounts (id, owner, amount, seen) VALUES (%s, 'new', %s, now(6))",
        (id_, random.randrange(10**6) / 100),
    )


def _numbered(cursor: Cursor, column: str, number: int) -> None:
    cursor.execute(f"UPDATE accounts SET {column} = id, owner = repeat('ß', %s) WHERE id < 20", (41 + number,))


def _update(cursor: Cursor, random: Random) -> None:
    cursor.execute("UPDATE accounts SET amount = amount + 1.01 WHERE id = %s", (random.randrange(ROWS * 2),))


def _delete(cursor: Cursor, random: Random) -> None:
    cursor.execute("DELETE FROM accounts WHERE id = %s", (random.randrange(ROWS * 2),))


def _move(cursor: Cursor, random: Random) -> None:
    old, new = random.randrange(ROWS), random.randrange(ROWS * 2)
    cursor.execute("UPDATE pairs SET b = %s, v = concat(v, 'y') WHERE b = %s", (new, old))


def _pair(cursor: Cursor, random: Random) -> None:
    cursor.execute(
        "REPLACE INTO pairs (a, b, v) VALUES (%s, %s, 'z')", (f"k{random.randrange(9)}", random.randrange(ROWS * 2))
    )


def _visit(cursor: Cursor, random: Random) -> None:
    cursor.execute("INSERT INTO visits VALUES (%s, %s), (7, 'twin'), (7, 'twin')", (random.randrange(50), "again"))


def _leave(cursor: Cursor, random: Random) -> None:
    cursor.execute("DELETE FROM visits WHERE who = %s LIMIT 2", (random.randrange(50),))


def _revisit(cursor: Cursor, random: Random) -> None:
    cursor.execute("UPDATE visits SET what = 'changed' WHERE who = %s LIMIT 1", (random.randrange(50),))


def _fill(cursor: Cursor, random: Random) -> None:
    cursor.execute("REPLACE INTO cleared VALUES (%s, %s)", (2**63 + random.randrange(99), random.randbytes(9)))


_STEPS = (_insert, _update, _update, _delete, _move, _pair, _visit, _leave, _revisit, _fill)
