"""An invariant reader: looks at the target all the time, for a state that the source never had."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from tests.support.patience import PATIENCE_S
from tests.support.workload_tables import LEDGER, TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.workload import Ledger

_COUNTER: Final = "SELECT n FROM public.counter WHERE id = 1"
#: Pause between two looks, in seconds.
_PAUSE_S: Final = 0.02


class Reader:
    """Reads ledger and counter at the target, each look one snapshot. Both must be loaded when it begins.

    ``looks`` counts them, ``states`` the different ledger states seen, ``breaches`` says what was wrong.
    """

    def __init__(self, target: str, ledger: Ledger) -> None:
        self._target, self._ledger = target, ledger
        self.looks, self.breaches, self.states = 0, list[str](), set[int]()
        self._number = self._n = 0
        self._over = threading.Event()
        self._news = threading.Condition()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Look until the end of the context; an outage of the target is waited out."""
        self._over.clear()
        thread = threading.Thread(target=self._run, name="invariant reader")
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join(PATIENCE_S)

    def wait_for_news(self, seconds: float = PATIENCE_S) -> None:
        """Wait until the target shows a later state of the ledger than it does now."""
        seen, deadline = self._number, time.monotonic() + seconds
        with self._news:
            if not self._news.wait_for(lambda: self._number > seen, seconds):
                raise AssertionError(
                    f"the target stands at ledger state {seen} for {time.monotonic() - deadline + seconds:.0f} s"
                )

    def _run(self) -> None:
        while not self._over.is_set():
            with (
                suppress(psycopg.OperationalError, psycopg.InterfaceError),
                psycopg.connect(self._target) as connection,
            ):
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                while not self._over.wait(_PAUSE_S):
                    self._look(connection)
            self._over.wait(_PAUSE_S)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        ledger = connection.execute(LEDGER).fetchone()
        counter = connection.execute(_COUNTER).fetchone()
        connection.rollback()
        with self._news:
            self.looks += 1
            self._judge(ledger, counter)
            self._news.notify_all()

    def _judge(self, ledger: Any, counter: Any) -> None:
        if ledger is None or ledger[0] is None or counter is None:
            self._breach("the ledger or the counter is empty")
            return
        number, digest, total = ledger
        if total != TOTAL:
            self._breach(f"the accounts of state {number} hold {total} instead of {TOTAL}")
        if self._ledger.states.get(number) != digest:
            self._breach(f"state {number} is none that the source has had")
        if number < self._number or counter[0] < self._n:
            self._breach(f"back from state {self._number} to {number}, counter from {self._n} to {counter[0]}")
        self.states.add(number)
        self._number, self._n = number, counter[0]

    def _breach(self, what: str) -> None:
        if len(self.breaches) < 20:
            self.breaches.append(what)
