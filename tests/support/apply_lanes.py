"""One apply for many tests of its target: each test has tables of its own, and a bystander that must go on meanwhile."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from apply import loop, recovery
from runtime import config, failpoints
from runtime.postgres import quote
from schemas.block import Op
from tests.support.apply_feed import Feed, applying, pipeline_file
from tests.support.daemons_pipeline import until
from tests.support.patience import PATIENCE_S
from tests.unit.apply.histories import table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.table import TableSchema
    from tests.support.apply_feed import Change

#: Fewer than the rows of the larger transactions, so that those come in parts.
BATCH_ROWS = 30


def insert(key: int, small: str | None = "s", big: str | None = "b") -> Change:
    return Op.CREATE, None, (b"%d" % key, small and small.encode(), big and big.encode())


class Lane:
    """A table: its events at the one end, its rows and its state at the other."""

    def __init__(self, lanes: Lanes, made: TableSchema) -> None:
        self.name = f"{made.namespace}.{made.name}"
        self._keys = itertools.count(1)
        self._lanes, self.quoted, self.feed = lanes, quote(made.namespace, made.name), Feed(lanes.pipeline, made)

    def change(self, *changes: Change, open_end: bool = False) -> None:
        """Publish one source transaction."""
        self.feed.send(self.feed.transaction(*changes, open_end=open_end))

    def one_more(self) -> int:
        """Publish an insert of a row of its own; return its key: 1, 2, ..."""
        key = next(self._keys)
        self.change(insert(key))
        return key

    def goes_on(self) -> None:
        """See that the table is applied as if nothing were wrong elsewhere; its rows are those of :meth:`one_more`."""
        self.one_more()
        self.whole()

    def whole(self) -> None:
        """All is well, and the rows of :meth:`one_more` are there, once."""
        self.streams()
        keys = [key for key, *_ in self.rows("id")]
        assert keys == list(range(1, len(keys) + 1))
        assert self.counts()[0] == len(keys)

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        """Return the target's rows, in order, NULLs first."""
        found = self._lanes.connection.execute(f"SELECT {columns} FROM {self.quoted}".encode()).fetchall()
        return sorted(found, key=lambda row: [(v is not None, v) for v in row])

    def arrived(self) -> None:
        """Wait until everything published is in the target."""
        end = self.feed.end()
        self._wait(lambda: self._offset() >= end, "everything arrives")

    def halted(self, state: str = "blocked") -> tuple[str, str]:
        """Wait until the table stands still; return the reason and the fix."""
        self._wait(lambda: self._state()[0] == state, f"it is {state}")
        _, reason, fix = self._state()
        assert reason
        assert fix
        return reason, fix

    def streams(self) -> None:
        """The table is well: all is applied, and nothing is said against it."""
        self.arrived()
        state, reason, fix = self._state()
        assert (reason, fix) == (None, None)
        assert state in ("streaming", "loading")

    def counts(self) -> tuple[int, int, int]:
        """Return how many inserts, updates and deletes were applied."""
        return self._lanes.one(
            'SELECT inserts, updates, deletes FROM ferryman.table_state WHERE "table" = %s', self.name
        )

    def _state(self) -> tuple[Any, ...]:
        found = self._lanes.one('SELECT state, reason, fix FROM ferryman.table_state WHERE "table" = %s', self.name)
        return found or (None, None, None)

    def _offset(self) -> int:
        found = self._lanes.one(
            "SELECT next_offset FROM ferryman.checkpoint WHERE topic = %s AND partition = 0", self.feed.topic
        )
        return found[0] if found else -1

    def _wait(self, what: Any, words: str) -> None:
        until(what, f"{words}; {self.name}: {self._state()} at {self._offset()}; {self._lanes.failures}")


class Lanes:
    """The running apply and its target. ``failures`` are the SQLSTATEs of batches that failed, oldest first.

    ``role`` owns the target's tables; as long as ``owner`` is a plain one, the target's triggers and foreign keys judge
    what apply writes.
    """

    def __init__(self, pipeline: config.Pipeline, server: str, role: str) -> None:
        self.pipeline, self.role, self.failures = pipeline, role, list[str]()
        self.connection = psycopg.connect(server, autocommit=True)
        self._cut_at: str | None = None
        self._hit = failpoints.hit
        self._cut = threading.Event()

    def lane(self, name: str, made: TableSchema | None = None, create: str = "") -> Lane:
        """Make a lane, loaded and empty; ``create``: the columns of a table that stands in the target already."""
        made = replace(made or table(), name=name)
        if create:
            self.connection.execute(f"CREATE TABLE public.{name} ({create})".encode())
            self.own(name)
        lane = Lane(self, made)
        lane.feed.load()
        return lane

    def own(self, name: str) -> None:
        """Give a table to the role."""
        self.run(f"ALTER TABLE public.{name} OWNER TO {self.role}")

    def run(self, statement: str) -> None:
        """Do something to the target as its superuser."""
        self.connection.execute(statement.encode())

    def one(self, query: str, *parameters: object) -> Any:
        """Return the row that a query gives, if any."""
        try:
            return self.connection.execute(query.encode(), parameters).fetchone()
        except psycopg.errors.UndefinedTable:
            return None

    def fails_with(self, code: str) -> None:
        """Wait until a batch fails with this SQLSTATE from now on."""
        self.failures.clear()
        until(lambda: code in self.failures, f"a batch fails with {code}")

    def end_sessions(self) -> None:
        """End apply's sessions at the target."""
        self.connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = %s",
            [f"ferryman apply {self.pipeline.pipeline}"],
        )

    @contextmanager
    def cut_at(self, phase: str) -> Iterator[None]:
        """End apply's sessions when it next comes to this failpoint; it has come there by the end of the context."""
        self._cut.clear()
        self._cut_at = phase
        yield
        assert self._cut.wait(PATIENCE_S), f"apply never came to {phase}"

    def hit(self, name: str) -> None:
        """Stand in for :func:`runtime.failpoints.hit`."""
        if name == self._cut_at:
            self._cut_at = None
            with psycopg.connect(self.connection.info.dsn, password=self.connection.info.password) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = %s",
                    [f"ferryman apply {self.pipeline.pipeline}"],
                )
            self._cut.set()

    def decide(self, error: Exception, *rest: Any) -> recovery.Action:
        """Stand in for :func:`apply.recovery.decide`, and keep what failed."""
        self.failures.append(getattr(error, "sqlstate", None) or type(error).__name__)
        return recovery.decide(error, *rest)


@contextmanager
def open_lanes(folder: Path, name: str, kafka: str, target: str, **settings: object) -> Iterator[Lanes]:
    """Run apply under a plain role, with short pauses; ``target`` is a superuser's URL of an empty database."""
    with psycopg.connect(target, autocommit=True) as admin, pytest.MonkeyPatch.context() as patch:
        role = f"{admin.info.dbname}_apply"
        for statement in (
            "CREATE ROLE {role} LOGIN PASSWORD 'a plain one'",
            "ALTER ROLE {role} SET deadlock_timeout = '300ms'",
            "GRANT CREATE ON DATABASE {database} TO {role}",
            "GRANT USAGE, CREATE ON SCHEMA public TO {role}",
        ):
            names = {"role": sql.Identifier(role), "database": sql.Identifier(admin.info.dbname)}
            admin.execute(sql.SQL(statement).format(**names))
        url = f"postgresql://{role}:a%20plain%20one@{admin.info.host}:{admin.info.port}/{admin.info.dbname}"
        settings = {"batch_rows": BATCH_ROWS, "lock_timeout_seconds": 3} | settings
        pipeline = config.load(pipeline_file(folder, name, kafka, url, **settings), {"kafka", "target"})
        lanes = Lanes(pipeline, target, role)
        patch.setattr(loop, "decide", lanes.decide)
        patch.setattr(failpoints, "hit", lanes.hit)
        try:
            with applying(pipeline, "one"):
                yield lanes
        finally:
            lanes.connection.close()
            admin.execute(sql.SQL("DROP OWNED BY {r} CASCADE; DROP ROLE {r}").format(r=sql.Identifier(role)))
