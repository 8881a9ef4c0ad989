"""The positions topic as capture writes it: start records, and the save that follows every acknowledgement."""

from __future__ import annotations

import socket
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from runtime import kafka, positions
from schemas.naming import positions_topic
from schemas.positions import REMEMBERED, MemoryRecord, Positions, StartRecord, StreamRecord, TableRecord, apart, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    from runtime.config import KafkaConfig, TopicsConfig
    from schemas.positions import Record

#: Compaction may not take a record away while a late save of a replaced daemon could still void its successor.
_COMPACTION_LAG_MS: Final = 24 * 3600 * 1000
#: The brokers acknowledge within this time, in seconds, or the save has failed.
_PATIENCE_S: Final = 60


class SaveFailed(Exception):
    """A record could not be made durable; the run must rewind."""


@dataclass(slots=True)
class _Save:
    """Records on their way: how many are not acknowledged, the last one's offset, why one failed."""

    left: int = 0
    offset: int = -1
    failure: str | None = None

    def delivered(self, error: object, message: Message) -> None:
        """Take note of the brokers' word on one of them."""
        self.left -= 1
        if error is not None:
            self.failure = self.failure or str(error)
        else:
            self.offset = max(self.offset, int(message.offset() or 0))


class PositionsWriter:
    """Saves where one run of capture stands. A save is whole only when its stream record, the last one, is durable."""

    def __init__(self, config: KafkaConfig, topics: TopicsConfig, pipeline: str) -> None:
        self._config, self._topics, self._pipeline = config, topics, pipeline
        self._topic = positions_topic(pipeline)
        self._producer = kafka.producer(config)
        self._memory: dict[str, Any] | None = None
        self._memories = 0
        self._under_way = _Save()
        self._replaced: list[bytes] = []
        self.run = 0

    def standing(self) -> Positions:
        """Return what stands in the topic now, without touching it."""
        return positions.read(self._config, self._pipeline)

    def begin(self) -> Positions:
        """Append a start record, whose offset makes the new run, and return what stood before it, saved again under it.

        Rule 13 of docs/snapshot-merge.md: from here on nothing that an earlier run still saves counts.
        """
        self._ensure_topic()
        source = f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
        start = StartRecord(uuid.uuid4().hex, source, time.time_ns() // 1_000_000)
        self.run = self._append([start]) + 1
        standing, stale = self._standing()
        standing = standing.succeeded_by(self.run)
        if standing.stream is not None:
            self.save(standing.tables.values(), standing.stream)
            self.settle()
        else:
            self._append(standing.tables.values())
        self._clean(stale)
        self._producer.flush(_PATIENCE_S)
        return standing

    def save(self, tables: Iterable[TableRecord], stream: StreamRecord) -> None:
        """Hand the records over, the stream's last; the save before must be settled.

        What the source remembers goes with them only when it is not what was saved the last time.
        """
        content = stream.resume.get(REMEMBERED)
        is_new = content is not None and content != self._memory
        number = self._memories + is_new
        stream, memory = apart(stream, number)
        self._hand_over([*tables, *([memory] if is_new and memory is not None else []), stream])
        if is_new and self._memories:
            self._replaced.append(encode(MemoryRecord(self.run, self._memories, {}))[0])
        self._memory, self._memories = content, number

    def is_saved(self) -> bool:
        """Whether all records handed over are durable; raises SaveFailed when one will not be."""
        self._producer.poll(0)
        self._check()
        return self._under_way.left == 0

    def settle(self) -> None:
        """Return once all records handed over are durable; raises SaveFailed."""
        if self._under_way.left:
            self._producer.flush(_PATIENCE_S)
        self._check()
        if self._under_way.left:
            self._fail(f"the brokers did not acknowledge within {_PATIENCE_S} s")
        self._clean(self._replaced)
        self._replaced = []

    def close(self) -> None:
        """Let go of the producer; everything saved is durable already."""
        self._producer.flush(10)

    def _standing(self) -> tuple[Positions, list[bytes]]:
        """Return the records in force, and the keys of those that the new run replaces."""
        standing, keys = Positions(), list[bytes]()
        for offset, key, value in kafka.read_all(self._config, self._topic):
            if offset != self.run - 1 and value is not None and key is not None:
                keys.append(key)
            standing.add(offset, key, value)
        return standing, keys

    def _append(self, records: Iterable[Record]) -> int:
        """Append records and wait until all are durable; return the last one's offset."""
        self._hand_over(records)
        self.settle()
        return self._under_way.offset

    def _hand_over(self, records: Iterable[Record]) -> None:
        self._under_way = save = _Save()
        for record in records:
            key, value = encode(record)
            save.left += 1
            self._producer.produce(self._topic, value, key, partition=0, on_delivery=save.delivered)

    def _check(self) -> None:
        if self._under_way.failure is not None:
            self._fail(self._under_way.failure)

    def _fail(self, reason: str) -> NoReturn:
        self._producer.purge()
        raise SaveFailed(reason)

    def _clean(self, keys: list[bytes]) -> None:
        for key in dict.fromkeys(keys):
            self._producer.produce(self._topic, None, key, partition=0)

    def _ensure_topic(self) -> None:
        settings = {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": str(_COMPACTION_LAG_MS),
            "max.message.bytes": str(self._topics.max_message_bytes),
        }
        kafka.ensure_topic(self._config, self._topic, 1, self._topics.replication_factor, settings)
