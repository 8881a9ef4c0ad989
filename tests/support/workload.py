"""A mixed workload on the source, seeded, in threads: it goes on while daemons and servers die."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final

import psycopg

from tests.support import workload_tables as tables
from tests.support.patience import PATIENCE_S
from tests.support.workload_tables import HEAVY_STEPS, LEDGER, LEDGER_STEPS, STEPS, Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Pause between two transactions of a writer, in seconds: the machine has other work, too.
_PAUSE_S: Final = 0.01
#: Pause before a writer connects again to a server that is down, in seconds.
_AWAY_S: Final = 0.2
_HEAVY_CHANCE, _UNDONE_CHANCE, _SAVEPOINT_CHANCE = 0.02, 0.1, 0.15

#: What two writers may do to each other, or a server's end to them.
_LOST: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.UniqueViolation)


class Ledger:
    """Every state that the ledger has had at the source, by the number of the transaction that made it."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}

    def settle(self, connection: psycopg.Connection[Any]) -> None:
        """Forget a state whose COMMIT was never answered unless it stands at the source."""
        row = connection.execute(LEDGER).fetchone()
        connection.rollback()
        assert row is not None
        self.states = {number: digest for number, digest in self.states.items() if number <= row[0]}
        self.states[row[0]] = row[1]


class Workload:
    """Writers on the source. ``committed`` counts transactions, ``steps`` what they did, ``increments`` the counter's.

    Use as a context manager: the writers run inside it. Leaving raises what made a writer fail.
    """

    def __init__(self, url: str, seed: object = 0, writers: int = 2) -> None:
        self.url, self.seed, self._writers = url, seed, writers
        self.ledger, self.steps = Ledger(), Counter[str]()
        self.committed = 0
        self._random = [Random(f"{seed}:{number}") for number in range(writers)]
        self._over = threading.Event()
        self._news = threading.Condition()
        self._failure: BaseException | None = None

    def prepare(self) -> None:
        """Make the tables with their first rows."""
        with psycopg.connect(self.url) as connection:
            connection.execute(tables.SCHEMA)
            connection.commit()
            self.ledger.settle(connection)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the writers write."""
        self._over.clear()
        threads = [threading.Thread(target=self._run, args=(n,), name=f"writer {n}") for n in range(self._writers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        if self._failure is not None:
            raise self._failure

    def progress(self, transactions: int = 20, seconds: float = PATIENCE_S) -> None:
        """Wait until so many more transactions are committed."""
        goal = self.committed + transactions
        with self._news:
            done = self._news.wait_for(lambda: self.committed >= goal or self._failure is not None, seconds)
        if self._failure is not None:
            raise self._failure
        assert done, f"the workload stands still at {self.committed} transactions"

    def write_much(self, rows: int = 20_000) -> None:
        """Commit one transaction of so many rows, about."""
        with psycopg.connect(self.url) as connection:
            tables.write_much(connection.cursor(), rows)

    def alter(self) -> None:
        """Add a column to a table, with a row that brings it."""
        with psycopg.connect(self.url) as connection:
            tables.add_column(connection.cursor(), Random(f"{self.seed}:alter"), Lane(0, self._writers))

    def _run(self, number: int) -> None:
        try:
            while not self._over.is_set():
                self._session(number)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._failure = error

    def _session(self, number: int) -> None:
        """Write until the end, or until the server is gone."""
        try:
            with psycopg.connect(self.url) as connection:
                if number == 0:
                    self.ledger.settle(connection)
                while not self._over.wait(_PAUSE_S):
                    self._transaction(connection, number)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._over.wait(_AWAY_S)

    def _transaction(self, connection: psycopg.Connection[Any], number: int) -> None:
        random, did = self._random[number], Counter[str]()
        try:
            state = self._steps(connection.cursor(), random, Lane(number, self._writers), did)
            if random.random() < _UNDONE_CHANCE:
                connection.rollback()
                return
            if state is not None:
                self.ledger.states[state[0]] = state[1]  # before the commit: afterwards the target may have it
            connection.commit()
        except _LOST:
            connection.rollback()
            return
        with self._news:
            self.committed += 1
            self.steps.update(did)
            self._news.notify_all()

    def _steps(
        self, cursor: psycopg.Cursor[Any], random: Random, lane: Lane, did: Counter[str]
    ) -> tuple[int, str] | None:
        for _ in range(random.choice([1, 1, 2, 3, 5])):
            if random.random() < _SAVEPOINT_CHANCE:
                self._undone_step(cursor, random, lane)
            tables.chosen(random, STEPS, did)(cursor, random, lane)
        if lane.number:
            return None
        if random.random() < _HEAVY_CHANCE:
            tables.chosen(random, HEAVY_STEPS, did)(cursor, random, lane)
        for _ in range(random.randrange(3)):
            tables.chosen(random, LEDGER_STEPS, did)(cursor, random, lane)
        return tables.number_ledger(cursor)

    def _undone_step(self, cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
        cursor.execute("SAVEPOINT s")
        tables.chosen(random, STEPS, Counter())(cursor, random, lane)
        cursor.execute("ROLLBACK TO SAVEPOINT s")
