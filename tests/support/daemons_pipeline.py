"""A whole pipeline as a test drives it: both daemons, both databases, and what can be asked of them."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import yaml

from apply.events import EventReader
from apply.messages import Messages
from apply.waiting import order_at
from operate import steering
from operate.commands.wait import Goal, await_goal
from operate.following import end_offsets
from runtime import config, kafka, positions
from runtime.errors import Unreachable
from runtime.schema_store import SchemaReader
from tests.support import contents, links
from tests.support.daemons import FERRYMAN, Daemon, environment
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from schemas.positions import Positions
    from tests.support.proxy import Proxy

#: Short intervals and small chunks and batches, so that a little data meets every path of the code.
SETTINGS: dict[str, dict[str, Any]] = {
    "source": {"discover_seconds": 1, "heartbeat_seconds": 1, "snapshot": {"chunk_rows": 150, "workers": 2}},
    "postgresql": {"patience_seconds": 2},
    "capture": {"save_interval_ms": 50, "batch_rows": 1_000, "batch_wait_ms": 20},
    "apply": {
        "batch_rows": 3_000, "batch_wait_ms": 20, "session_timeout_ms": 2_000, "lock_timeout_seconds": 5,
        "takeover_seconds": 0.5, "fenced_seconds": 2, "look_seconds": 2,
        "expelled_seconds": 1,
    },
    "kafka": {"request_timeout_seconds": 5},
    "retry": {"first_ms": 100, "longest_seconds": 2, "blocked_seconds": 10},
}  # fmt: skip


class Counts(NamedTuple):
    """What was applied to one table, by apply's own counters."""

    inserts: int
    updates: int
    deletes: int
    snapshot_rows: int


class Standing(NamedTuple):
    """What a restart must not change: counters of each table, next offset and end offset of each topic."""

    counts: dict[str, Counts]
    offsets: dict[str, int]
    ends: dict[str, int]


class Pipeline:
    """capture and apply between two databases. ``instance`` makes a killed apply take its partitions back at once.

    With ``proxies`` (by link) the daemons go through them; whoever asks and judges goes straight to the servers.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        brokers: str,
        source: str,
        target: str,
        proxies: Mapping[str, Proxy] | None = None,
        /,
        *,
        types: Sequence[Mapping[str, Any]] = (),
        **settings: dict[str, Any],
    ) -> None:
        self.folder, self.name, self.source, self.target = folder, name, source, target
        folder.mkdir(parents=True, exist_ok=True)
        kind = urlsplit(source).scheme
        document = {
            "pipeline": name,
            "kafka": {"bootstrap_servers": brokers} | SETTINGS["kafka"] | settings.get("kafka", {}),
            "source": {"type": kind, "url": source}
            | SETTINGS["source"]
            | SETTINGS.get(kind, {})
            | settings.get("source", {}),
            "target": {"url": target},
            "capture": SETTINGS["capture"] | settings.get("capture", {}),
            "apply": SETTINGS["apply"] | settings.get("apply", {}),
            "retry": SETTINGS["retry"],
            "types": [dict(rule) for rule in types],
            "tables": [{"include": "public.*" if kind == "postgresql" else f"{urlsplit(source).path[1:]}.*"}],
        }
        self.file = self._write(name, document)
        self.config = _patient(config.load(self.file, {"kafka", "source", "target"}))
        self._files = {
            daemon: self._write(f"{name}-{daemon}", links.rerouted(document, proxies, daemon)) if proxies else self.file
            for daemon in ("capture", "apply")
        }
        self.capture = Daemon("capture", self._files["capture"], folder)
        self.apply = Daemon("apply", self._files["apply"], folder, "--instance", "one")
        self._others: list[Daemon] = []
        #: How long it may take to catch up, in seconds.
        self.patience_s = PATIENCE_S

    def daemon(self, name: str) -> Daemon:
        """Return ``capture`` or ``apply``."""
        return {"capture": self.capture, "apply": self.apply}[name]

    def another(self, name: str, *arguments: str, label: str) -> Daemon:
        """Return a further daemon of this pipeline, not started; it ends with the pipeline."""
        daemon = Daemon(name, self._files[name], self.folder, *arguments, label=label)
        self._others.append(daemon)
        return daemon

    def start(self, capture: str = "", apply: str = "") -> None:
        """Start both daemons, with these failpoints."""
        self.capture.start(capture)
        self.apply.start(apply)

    def stop(self) -> None:
        """SIGTERM both; they end in good order."""
        codes = (self.capture.stop(), self.apply.stop())
        assert codes == (0, 0), f"{self.capture.last_words()}\n{self.apply.last_words()}"

    def close(self) -> None:
        """End everything, however it stands."""
        for daemon in (self.capture, self.apply, *self._others):
            daemon.end()

    # --- asking ----------------------------------------------------------------------------------------------------

    def caught_up(self, timeout_s: float = 0) -> None:
        """Wait until everything committed so far is in the target."""
        verdict = await_goal(self.config, Goal.CAUGHT_UP, timeout_s or self.patience_s)
        assert verdict.done, f"{verdict.reason}\n{self.capture.last_words()}\n{self.apply.last_words()}"

    def positions(self) -> Positions:
        """Return what capture has saved."""
        return positions.read(self.config.kafka, self.name)

    def resync(self, *tables: str) -> None:
        """Ask for new snapshots, as `ferryman resync` does."""
        steering.ask(self.config, "resync", tables)

    def command(self, *words: str, timeout_s: float = PATIENCE_S) -> tuple[int, Any]:
        """Run a ferryman command on this pipeline; return its exit code and its JSON document."""
        line = [*FERRYMAN, words[0], str(self.file), *words[1:], "--json"]
        done = subprocess.run(
            line, env=environment(), cwd="/", capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.stdout, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout)

    def wait_for_saved(self, what: Callable[[Positions], bool], seconds: float = PATIENCE_S) -> Positions:
        """Wait until what capture has saved fulfils a condition, and return it."""
        found: list[Positions] = []

        def look() -> bool:
            found[:] = [self.positions()]
            return what(found[0])

        until(look, f"capture saves so; {self.capture.last_words()}", seconds)
        return found[0]

    def wait_for_target(self, query: str, value: object, seconds: float = PATIENCE_S) -> None:
        """Wait until a query at the target gives this value."""
        with psycopg.connect(self.target, autocommit=True) as connection:

            def look() -> bool:
                try:
                    return connection.execute(query.encode()).fetchone() == (value,)
                except psycopg.errors.UndefinedTable:
                    return False  # it is not made yet

            until(look, f"{query} gives {value}; {self.capture.last_words()}", seconds)

    def states(self) -> dict[str, tuple[str, str | None, str | None]]:
        """Return state, reason and fix of each table as apply recorded them."""
        rows = self._ask_target('SELECT "table", state, reason, fix FROM ferryman.table_state WHERE pipeline = %s')
        return {name: (state, reason, fix) for name, state, reason, fix in rows}

    def standing(self) -> Standing:
        """Return what a restart must not change."""
        rows = self._ask_target(
            'SELECT "table", inserts, updates, deletes, snapshot_rows FROM ferryman.table_state WHERE pipeline = %s'
        )
        places = self._ask_target("SELECT topic, next_offset FROM ferryman.checkpoint WHERE pipeline = %s")
        topics = [table.topic for table in self.positions().tables.values()]
        ends = end_offsets(kafka.admin(self.config.kafka), [(topic, 0) for topic in topics])
        return Standing(
            {name: Counts(*counts) for name, *counts in rows},
            {topic: offset for topic, offset in places if topic in topics},
            {topic: end for (topic, _), end in ends.items()},
        )

    def order_keys(self) -> dict[str, list[bytes]]:
        """Return the order keys of all events by topic, in the order of the topic."""
        reader = EventReader(SchemaReader(self.config.kafka, self.name).get)
        found = {}
        for table in self.positions().tables.values():
            messages = kafka.read_all(self.config.kafka, table.topic)
            decoded = reader.read(Messages([offset for offset, *_ in messages], [value for *_, value in messages]))
            assert decoded.poison is None
            events = [received for received, _ in decoded.events]
            found[table.topic] = [order_at(received, i) for received in events for i in range(len(received))]
        return found

    # --- judging ---------------------------------------------------------------------------------------------------

    def assert_equal(self, but: Iterable[str] = ()) -> None:
        """Compare the full contents of all tables."""
        found = contents.differences(self.source, self.target, but)
        assert found == [], "\n".join([*found, f"logs: {self.folder}"])

    def assert_nothing_published_twice(self) -> None:
        """Within each topic no event stands behind one of its own time or later."""
        for topic, orders in self.order_keys().items():
            back = [i for i in range(1, len(orders)) if orders[i] <= orders[i - 1]]
            assert back == [], f"{topic}: {len(back)} of {len(orders)} events go back, the first is number {back[0]}"

    def assert_restart_applies_nothing(self) -> None:
        """Restart both daemons; only a change that is made afterwards, in table counter, arrives, once."""
        before = self.standing()
        assert before.offsets == before.ends, "the target has not caught up"
        self.stop()
        self.start()
        with psycopg.connect(self.source) as connection:
            connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
        self.caught_up()
        after = self.standing()
        topic = self.positions().tables["public.counter"].topic
        counted = before.counts["public.counter"]
        assert after.counts == before.counts | {"public.counter": counted._replace(updates=counted.updates + 1)}
        assert after.ends == before.ends | {topic: before.ends[topic] + 1}
        assert after.offsets == after.ends

    def assert_nothing_left_behind(self, seconds: float = PATIENCE_S) -> None:
        """No process of a life that is over runs on, for longer than it takes to notice that it is over."""
        daemons = (self.capture, self.apply)
        until(lambda: not any(d.left_behind() for d in daemons), "no process outlives its daemon", seconds)

    def _write(self, name: str, document: dict[str, Any]) -> Path:
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document))
        return file

    def _ask_target(self, statement: str) -> list[Any]:
        with psycopg.connect(self.target) as connection:
            return connection.execute(statement, [self.name]).fetchall()


def _patient(found: config.Pipeline) -> config.Pipeline:
    """Return a pipeline for whoever asks and judges: only the daemons find out soon that brokers are away."""
    brokers = found.kafka.model_copy(update={"request_timeout_seconds": 60, "delivery_timeout_seconds": 60})
    return found.model_copy(update={"kafka": brokers})


@contextmanager
def closing(pipeline: Pipeline) -> Iterator[Pipeline]:
    """End a pipeline's daemons with the context."""
    try:
        yield pipeline
    finally:
        pipeline.close()


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Look again and again until a condition holds; ``what`` says which, for a test that fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def patiently(ask: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """Return an answer that may need a server to come back first."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (Unreachable, psycopg.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
