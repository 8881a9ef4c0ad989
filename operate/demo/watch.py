"""What the demo sees while it runs: positions, topics and control tables, looked at from a thread of its own.

It reads what everybody can read, and asks no daemon: so it goes on while daemons and servers die.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg
from confluent_kafka import KafkaException, TopicPartition

from operate import applied
from operate.demo.errors import DemoFailed
from runtime import kafka, postgres
from runtime.errors import FerrymanError
from runtime.positions import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import Consumer

    from operate.applied import Applied
    from runtime.config import Pipeline
    from schemas.positions import Positions

#: Pause between two looks, in seconds.
_PAUSE_S: Final = 0.15
#: Seconds that one question to a broker may take: it may be dead.
_PATIENCE_S: Final = 1.0
#: Seconds over which rates are taken.
_RATE_SPAN_S: Final = 8.0
#: Rows a second below which no time is foretold.
_MOVES_ROWS_S: Final = 100.0


@dataclass(frozen=True, slots=True)
class Row:
    """One table as it is seen now.

    ``total``: rows of its snapshot; ``messages`` of its topic; ``copied``: rows of the newest snapshot that are in the
    target; then changes applied, and both daemons' word for its state.
    """

    table: str
    total: int
    messages: int = 0
    copied: int = 0
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    capture: str = "pending"
    apply: str = "pending"
    reason: str | None = None

    @property
    def applied(self) -> int:
        """Events that the target has seen."""
        return self.copied + self.inserts + self.updates + self.deletes


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything seen at one moment; what cannot be seen just now is as it was last seen.

    ``run``: the run of capture that saved last, and ``saved_ms`` when; ``epochs``: the sum of all partitions' epochs;
    ``next_offset``: the sum of their next offsets, so what apply has taken in; ``rate`` in events applied a second,
    ``publishing`` in messages a second.
    """

    at: float = 0.0
    rows: Mapping[str, Row] = field(default_factory=dict)
    run: int = 0
    saved_ms: int = 0
    epochs: int = 0
    next_offset: int = 0
    rate: float = 0.0
    publishing: float = 0.0
    kafka: bool = False
    target: bool = False

    @property
    def messages(self) -> int:
        """Messages in all tables' topics."""
        return sum(row.messages for row in self.rows.values())

    @property
    def copied(self) -> int:
        """Snapshot rows in the target."""
        return sum(row.copied for row in self.rows.values())

    @property
    def total(self) -> int:
        """Rows that are to be copied."""
        return sum(row.total for row in self.rows.values())

    @property
    def loaded(self) -> bool:
        """Whether every table's snapshot is complete in the target."""
        return bool(self.rows) and all(row.apply == "streaming" for row in self.rows.values())

    @property
    def seconds_left(self) -> float | None:
        """How long the copy will take at the present rate; None while it hardly moves."""
        left = max(0, self.total - self.copied)
        return left / self.rate if self.rate >= _MOVES_ROWS_S else None


@dataclass(slots=True)
class Seen:
    """What was read of a pipeline last; ``kafka`` and ``target``: whether they answered the last time."""

    positions: Positions
    ends: dict[str, int] = field(default_factory=dict)
    applied: Applied = field(default_factory=applied.Applied)
    epochs: int = 0
    kafka: bool = False
    target: bool = False


class Sees(Protocol):
    """Whoever looks at a pipeline: :class:`Eyes`, or a fake in tests."""

    def look(self) -> Seen:
        """Return what is to be seen now."""

    def close(self) -> None:
        """Look no more."""


class Watch:
    """Looks again and again until it is closed, and tells everything it sees.

    ``totals`` are the rows of each table at the start of its copy. ``vital`` raises DemoFailed when there is no use in
    waiting any longer.
    """

    def __init__(
        self,
        eyes: Sees,
        totals: Mapping[str, int],
        tell: Callable[[Picture], None],
        vital: Callable[[], None],
    ) -> None:
        self.picture = Picture(rows={table: Row(table, total) for table, total in totals.items()})
        self._eyes = eyes
        self._totals, self._tell, self._vital = totals, tell, vital
        self._news = threading.Condition()
        self._over = threading.Event()
        self._applying, self._publishing = _Rate(), _Rate()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()

    def until(self, condition: Callable[[Picture], bool], what: str, timeout_s: float) -> Picture:
        """Return the first picture, from now on, that fulfils a condition; raises DemoFailed after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not self._news.wait_for(lambda: condition(self.picture), 0.5):
                self._vital()
                if not self._thread.is_alive():
                    raise DemoFailed("the demo cannot see its pipeline any more")
                if time.monotonic() > deadline:
                    raise DemoFailed(f"not within {timeout_s:.0f} s: {what}")
            return self.picture

    def fresh(self) -> Picture:
        """Return a picture that was taken wholly after this call."""
        now = time.monotonic()
        return self.until(lambda picture: picture.at > now, "a look at the pipeline", 30)

    def _look(self) -> None:
        while not self._over.wait(_PAUSE_S):
            started = time.monotonic()
            seen = self._eyes.look()
            picture = self._compose(started, seen)
            with self._news:
                self.picture = picture
                self._news.notify_all()
            self._tell(picture)
        self._eyes.close()

    def _compose(self, started: float, seen: Seen) -> Picture:
        rows = {table: _row(table, total, seen) for table, total in self._totals.items()}
        stream, checkpoints = seen.positions.stream, seen.applied.checkpoints.values()
        return Picture(
            at=started,
            rows=rows,
            run=stream.run if stream else 0,
            saved_ms=stream.saved_ms if stream else 0,
            epochs=seen.epochs,
            next_offset=sum(c.next_offset for c in checkpoints),
            rate=self._applying.at(started, sum(row.applied for row in rows.values())),
            publishing=self._publishing.at(started, sum(row.messages for row in rows.values())),
            kafka=seen.kafka,
            target=seen.target,
        )


class _Rate:
    """How fast a number grew lately."""

    def __init__(self) -> None:
        self._history: list[tuple[float, int]] = []

    def at(self, now: float, count: int) -> float:
        """Return its growth a second; 0 when it fell."""
        self._history = [(at, n) for at, n in self._history if now - at <= _RATE_SPAN_S] + [(now, count)]
        first, before = self._history[0]
        return max(0, count - before) / (now - first) if now > first else 0.0


def _row(table: str, total: int, seen: Seen) -> Row:
    record, state = seen.positions.tables.get(table), seen.applied.tables.get(table)
    return Row(
        table, total,
        messages=seen.ends.get(record.topic, 0) if record else 0,
        copied=state.snapshot_rows if state else 0,
        inserts=state.inserts if state else 0,
        updates=state.updates if state else 0,
        deletes=state.deletes if state else 0,
        capture=record.phase.value if record else "pending",
        apply=state.state if state else "pending",
        reason=(record.reason if record else None) or (state.reason if state else None),
    )  # fmt: skip


class Eyes:
    """Connections to the broker and the target, each opened anew after it broke."""

    def __init__(self, pipeline: Pipeline) -> None:
        assert pipeline.target is not None
        self._pipeline, self._conninfo = pipeline, pipeline.target.conninfo
        self._tail = Tail(pipeline.kafka, pipeline.pipeline)
        self._seen = Seen(self._tail.positions)
        # A broker that came back is to be seen at once.
        quick = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 100}
        self._consumer: Consumer = kafka.consumer(pipeline.kafka, None, **quick)
        self._target: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Let go of all connections."""
        self._tail.close()
        self._consumer.close()
        if self._target is not None:
            self._target.close()

    def look(self) -> Seen:
        """Read everything; what does not answer stays as it was."""
        self._seen.kafka = self._look_at_kafka()
        self._seen.target = self._look_at_target()
        return self._seen

    def _look_at_kafka(self) -> bool:
        try:
            self._consumer.list_topics(timeout=_PATIENCE_S)
            self._tail.poll()
            for table in self._tail.positions.tables.values():
                place = TopicPartition(table.topic, 0)
                self._seen.ends[table.topic] = self._consumer.get_watermark_offsets(place, timeout=_PATIENCE_S)[1]
        except (KafkaException, FerrymanError):
            return False
        return True

    def _look_at_target(self) -> bool:
        try:
            if self._target is None:
                self._target = postgres.connect(self._conninfo, application_name="ferryman demo", autocommit=True)
            self._seen.applied = applied.read(self._target, self._pipeline.pipeline)
            self._seen.epochs = _epochs(self._target)
        except (psycopg.Error, FerrymanError):
            if self._target is not None:
                self._target.close()
            self._target = None
            return False
        return True


def _epochs(target: psycopg.Connection[Any]) -> int:
    try:
        row = target.execute("SELECT coalesce(sum(epoch), 0) FROM ferryman.checkpoint").fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row[0]) if row else 0
