"""Cheap looks at topics and targets, the same for every subject: the end of a topic, one row by its key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bench.databases import one
from bench.process import Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bench.process import Process
    from bench.tables import Table

#: Seconds until something must have happened; a run that hangs is a failure, not a figure.
PATIENCE_S = 900.0
#: Seconds between two looks: the error of a time.
LOOK_S = 0.02
#: What a broker says of a topic that is being made.
_NOT_READY = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


def wait(condition: Callable[[], bool], what: str, *processes: Process, look_s: float = LOOK_S) -> float:
    """Return the time (monotonic seconds) at which ``condition`` was seen to hold, by a look every ``look_s`` seconds.

    Raises:
        Failed: a process ended before, or it did not hold in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = time.monotonic()
        if condition():
            return now
        for process in processes:
            process.check()
        if now > deadline:
            raise Failed(f"{what}: not seen in {PATIENCE_S:.0f} s")
        time.sleep(look_s)


class Topic:
    """Looks at the end of a one-partition topic."""

    def __init__(self, kafka: str, name: str) -> None:
        self._place = TopicPartition(name, 0)
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench", "allow.auto.create.topics": False})
        self._exists = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def end(self) -> int:
        """Return the offset after the last message; 0 while there is no topic."""
        self._exists = self._exists or self._place.topic in self._consumer.list_topics(timeout=10).topics
        try:
            return int(self._consumer.get_watermark_offsets(self._place, timeout=10)[1]) if self._exists else 0
        except KafkaException as error:
            if error.args[0].code() in _NOT_READY:
                return 0
            raise

    def wait(self, messages: int, process: Process) -> float:
        """Return the time (monotonic seconds) at which the topic was seen to have so many messages."""
        return wait(lambda: self.end() >= messages, f"{messages} messages in {self._place.topic}", process)


class Target:
    """Looks at the benchmark's table in a target database."""

    def __init__(self, url: str, table: Table) -> None:
        self._table = table
        self._connection = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def count(self, condition: str = "true") -> int:
        """Return how many rows there are for which ``condition`` holds; 0 while there is no table."""
        if not self._exists():
            return 0
        return int(one(self._connection, f"SELECT count(*) FROM {self._table.name} WHERE {condition}"))

    def has(self, condition: str) -> bool:
        """Return whether there is any such row: cheap when the condition is about the key."""
        query = f"SELECT EXISTS (SELECT FROM {self._table.name} WHERE {condition})::int"
        return self._exists() and one(self._connection, query) == "1"

    def wait_any(self, condition: str, *processes: Process) -> float:
        """Return the time at which such a row was seen."""
        return wait(lambda: self.has(condition), f"{condition} in {self._table.name}", *processes)

    def wait_rows(self, rows: int, *processes: Process) -> float:
        """Return the time at which there were exactly so many rows. Counting is not cheap: call it near the end."""
        return wait(lambda: self.count() == rows, f"{rows} rows in {self._table.name}", *processes)

    def _exists(self) -> bool:
        return one(self._connection, f"SELECT to_regclass('public.{self._table.name}')") != "None"
