"""Plays capture for tests of apply: events of one table in a real topic, positions beside them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from apply.main import run
from runtime import config, kafka
from runtime.schema_store import SchemaWriter
from runtime.signals import Stop
from schemas.block import Block, Op, Origin, Row, Transaction
from schemas.codec import BlockEncoder, Message
from schemas.naming import positions_topic, table_topic
from schemas.order import OrderKey
from schemas.positions import Phase, StartRecord, StreamRecord, TableRecord, encode
from schemas.table import Kind, TableSchema
from tests.support.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]

#: (op, before, after) of one row.
Change = tuple[Op, "Row | None", "Row | None"]


def pipeline_file(folder: Path, name: str, kafka_address: str, target: str, **apply: object) -> Path:
    """Write the smallest pipeline file for apply alone."""
    lines = [
        f"pipeline: {name}",
        f"kafka: {{bootstrap_servers: '{kafka_address}'}}",
        f"target: {{url: '{target}'}}",
        "tables: [{include: '*.*'}]",
        "retry: {first_ms: 100, longest_seconds: 2, blocked_seconds: 6}",
        "apply:",
        "  session_timeout_ms: 6000",
        "  batch_wait_ms: 20",
        "  takeover_seconds: 0.5",
        "  fenced_seconds: 1",
        "  look_seconds: 1",
        *(f"  {key}: {value}" for key, value in apply.items()),
    ]
    path = folder / "pipeline.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


class Feed:
    """Writes the events of one table as capture would."""

    def __init__(self, pipeline: config.Pipeline, table: TableSchema) -> None:
        self.pipeline, self.table = pipeline, table
        self.name = f"{table.namespace}.{table.name}"
        self.topic = table_topic(pipeline.pipeline, table.namespace, table.name)
        self.position = 100
        self.generation = 1
        self._brokers = pipeline.kafka
        self._producer = kafka.producer(self._brokers)
        self._schemas = SchemaWriter(self._brokers, pipeline.topics, pipeline.pipeline)
        kafka.ensure_topic(self._brokers, positions_topic(pipeline.pipeline), 1, 1, {"cleanup.policy": "compact"})
        kafka.ensure_topic(self._brokers, self.topic, 1, 1, {})
        self.run = self._save(StartRecord("one", "postgresql", 0)) + 1
        self._save(StreamRecord(self.run, "postgresql", 0, {}, {}, {}))
        self.register(table)
        self.say()

    def register(self, table: TableSchema) -> None:
        """From now on events have this version."""
        self.table = table
        plain = [int if c.type.kind in (Kind.INT32, Kind.INT64) else bytes.decode for c in table.columns]
        self._encoder = BlockEncoder(table, self.topic, self.pipeline.pipeline, plain, self._schemas.register)

    def say(self, loaded: OrderKey | None = None) -> None:
        """Save the table's record; ``loaded``: its snapshot is complete there."""
        phase = Phase.STREAMING if loaded else Phase.SNAPSHOTTING
        mark = loaded.pack().hex() if loaded else None
        self._save(TableRecord(self.run, self.name, self.topic, 1, self.generation, phase, loaded=mark))

    def transaction(self, *changes: Change, cut: int | None = None, open_end: bool = False) -> list[Message]:
        """Return the messages of one source transaction; ``cut``: only those of its first rows."""
        self.position += 1
        return self.encode(Origin.LOG, 0, changes, cut=cut, open_end=open_end)

    def opening(self) -> list[Message]:
        """Return the truncate that opens a snapshot."""
        self.position += 1
        return self.encode(Origin.OPENING, self.run, [(Op.TRUNCATE, None, None)])

    def chunk(self, *rows: Row) -> list[Message]:
        """Return rows of a snapshot; each is a commit of its own."""
        self.position += 1
        return self.encode(Origin.CHUNK, self.run, [(Op.READ, None, row) for row in rows], each_last=True)

    def encode(
        self,
        origin: Origin,
        run: int,
        changes: object,
        *,
        cut: int | None = None,
        open_end: bool = False,
        each_last: bool = False,
    ) -> list[Message]:
        block = Block(self.table, [Transaction(self.position, self.position * 1_000_000, "")], 0, run, origin)
        changes = list(changes)
        for i, (op, before, after) in enumerate(changes[:cut]):
            block.ops.append(op)
            block.tx.append(0)
            block.ordinals.append(2 * i)
            block.before.append(before)
            block.after.append(after)
            block.last.append(each_last or (i == len(changes) - 1 and not open_end))
            moved = op is Op.UPDATE and before and any(before[k] != after[k] for k in self.table.key)
            block.key_change.append(bool(moved))
        return self._encoder.encode(block)

    def send(self, messages: list[Message]) -> None:
        """Publish, and wait until the brokers have it."""
        for message in messages:
            self._producer.produce(self.topic, message.value, message.key, headers=message.headers, partition=0)
            self._producer.poll(0)
        assert self._producer.flush(PATIENCE_S) == 0

    def load(self, *rows: Row) -> None:
        """Publish a whole snapshot of these rows and call the table loaded."""
        self.send(self.opening())
        if rows:
            self.send(self.chunk(*rows))
        self.say(OrderKey(0, self.position, self.run, 2 * max(len(rows) - 1, 0)))

    def delete_before(self, offset: int) -> None:
        """Let retention take everything before an offset."""
        place = TopicPartition(self.topic, 0, offset)
        admin = kafka.admin(self._brokers)  # its futures end with it
        for future in admin.delete_records([place]).values():
            future.result(PATIENCE_S)

    def delete_topic(self) -> None:
        """Delete the topic."""
        admin = kafka.admin(self._brokers)
        for future in admin.delete_topics([self.topic]).values():
            future.result(PATIENCE_S)

    def add_partitions(self, count: int) -> None:
        """Let the topic have so many partitions."""
        admin = kafka.admin(self._brokers)
        for future in admin.create_partitions([NewPartitions(self.topic, count)]).values():
            future.result(PATIENCE_S)

    def create_topic(self, partitions: int = 1) -> None:
        """Make the topic anew after it was deleted."""
        kafka.ensure_topic(self._brokers, self.topic, partitions, 1, {})
        self._producer = kafka.producer(self._brokers)

    def end(self) -> int:
        """Return the offset after the last message."""
        consumer = kafka.consumer(self._brokers, None)
        _, end = kafka.watermarks(consumer, self.topic, 0, PATIENCE_S)
        consumer.close()
        return end

    def _save(self, record: object) -> int:
        offsets: list[int] = []
        key, value = encode(record)
        self._producer.produce(
            positions_topic(self.pipeline.pipeline),
            value,
            key,
            partition=0,
            on_delivery=lambda _, m: offsets.append(m.offset()),
        )
        self._producer.flush(PATIENCE_S)
        return offsets[0]


class Applier:
    """``ferryman apply`` in a thread of this process."""

    def __init__(self, pipeline: config.Pipeline, instance: str | None = None) -> None:
        self._stop, self.code, self.error = Stop(), None, None
        self._thread = threading.Thread(target=self._run, args=(pipeline, instance))
        self._thread.start()

    def stop(self) -> None:
        self._stop.request()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self._stop.close()
        if self.error is not None:
            raise self.error

    def _run(self, pipeline: config.Pipeline, instance: str | None) -> None:
        try:
            self.code = run(pipeline, instance, "127.0.0.1:0", self._stop)
        except BaseException as error:  # noqa: BLE001 - raised again by stop()
            self.error = error


@contextmanager
def applying(pipeline: config.Pipeline, instance: str | None = None) -> Iterator[Applier]:
    applier = Applier(pipeline, instance)
    try:
        yield applier
    finally:
        applier.stop()


def having(pipeline: config.Pipeline, **settings: object) -> config.Pipeline:
    """Return a pipeline with other settings of apply."""
    return pipeline.model_copy(update={"apply": pipeline.apply.model_copy(update=settings)})


class Target:
    """The target as tests look at it."""

    def __init__(self, url: str, pipeline: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.pipeline = pipeline

    def rows(self, table: str = "public.t") -> list[tuple]:
        return sorted(
            self.connection.execute(f"SELECT * FROM {table}").fetchall(),
            key=lambda row: [(v is not None, v) for v in row],
        )

    def checkpoint(self) -> dict | None:
        return self._one("SELECT * FROM ferryman.checkpoint WHERE pipeline = %s")

    def state(self) -> dict | None:
        return self._one("SELECT * FROM ferryman.table_state WHERE pipeline = %s")

    def wait(self, what: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Wait until a condition holds; fails with what the target says instead."""
        tick = threading.Event()
        for _ in range(int(seconds / 0.02)):
            try:
                if what():
                    return
            except psycopg.errors.UndefinedTable:
                pass
            tick.wait(0.02)
        stand = self.connection.execute(
            "SELECT topic, next_offset, epoch, owner, state, reason FROM ferryman.checkpoint "
            "LEFT JOIN ferryman.table_state USING (pipeline, topic)"
        )
        raise AssertionError(f"did not come true: {stand.fetchall()}")

    def reached(self, offset: int) -> Callable[[], bool]:
        return lambda: (self.checkpoint() or {"next_offset": -1})["next_offset"] >= offset

    def _one(self, statement: str) -> dict | None:
        with self.connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(statement, (self.pipeline,)).fetchone()


def crash(path: Path, failpoints: str, instance: str = "one") -> subprocess.Popen[bytes]:
    """Start ``ferryman apply`` as a process of its own that dies at a failpoint."""
    environment = {**os.environ, "FERRYMAN_ENV": "test", "FERRYMAN_FAILPOINTS": failpoints}
    command = [sys.executable, "-P", "-m", "operate.main", "apply", str(path), "--instance", instance]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
