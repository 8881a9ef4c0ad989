"""Servers, databases, pipeline files and daemons for one benchmark."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
from confluent_kafka import Consumer, TopicPartition

from operate.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest time for anything to happen; a run that hangs is a failure, not a figure.
_PATIENCE_S = 1_800.0
_LOOK_S = 0.02


class Failed(Exception):
    """A subject ended or hung: the run has no figure."""


class Rig:
    """A running stack with a work folder. Every pipeline made here has databases and topics of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.kafka = stack.server("kafka").address

    def pipeline(self) -> Pipeline:
        """Return a new pipeline between two empty databases."""
        name = f"bench_{secrets.token_hex(4)}"
        source = _database(self._stack.server("postgresql").address, f"source_{name}")
        target = _database(self._stack.server("target").address, f"target_{name}")
        return Pipeline(name, self.kafka, source, target, self._folder)


@contextmanager
def rig(folder: Path | None = None) -> Iterator[Rig]:
    """Give a rig on a stack of its own; one in ``folder`` stays up for the next run."""
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)  # the servers' own user must get through
        stack = Stack(folder or Path(made) / "stack").up()
        try:
            yield Rig(stack, Path(made))
        finally:
            if folder is None:
                stack.remove()


class Pipeline:
    """One pipeline's databases and file. ``topic`` is that of the table ``public.standard``."""

    def __init__(self, name: str, kafka: str, source: str, target: str, folder: Path) -> None:
        self.name, self.kafka, self.source, self.target = name, kafka, source, target
        self.folder = folder
        self.file = folder / f"{name}.yaml"
        self.file.write_text(
            f"pipeline: {name}\n"
            f"kafka:\n  bootstrap_servers: {kafka}\n"
            f"source:\n  type: postgresql\n  url: {source}\n"
            f"target:\n  url: {target}\n"
            "tables:\n  - include: public.*\n"
        )
        self.topic = f"{name}.public.standard"

    def daemon(self, command: str) -> Daemon:
        """Start ``ferryman capture`` or ``ferryman apply`` as a process of its own."""
        return Daemon([sys.executable, "-P", "-m", "operate.main", command, str(self.file)], self.folder / command)

    def checkpoint(self, connection: psycopg.Connection) -> int:
        """Return the offset up to which apply has committed the table's topic to the target."""
        if connection.execute("SELECT to_regclass('ferryman.checkpoint')").fetchone() == (None,):
            return 0
        row = connection.execute(
            "SELECT next_offset FROM ferryman.checkpoint WHERE topic = %s", (self.topic,)
        ).fetchone()
        return int(row[0]) if row else 0

    def drop(self) -> None:
        """Drop both databases, so that a stack that stays up does not fill the disk."""
        for url in (self.source, self.target):
            _drop(url)


class Daemon:
    """A process of ours: started at once, ended by SIGTERM. Its log goes to a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log.with_suffix(".log")
        with self._log.open("ab") as output:
            environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise Failed if it ended by itself."""
        if self._process.poll() is not None:
            raise Failed(f"a daemon ended with {self._process.returncode}: {self._last_words()}")

    def stop(self) -> None:
        """End it in good order."""
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(timeout=60) != 0:
            raise Failed(f"a daemon did not end well: {self._last_words()}")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        return self._log.read_bytes()[-1_500:].decode(errors="replace")


class Topic:
    """Looks at the end of a one-partition topic."""

    def __init__(self, kafka: str, name: str) -> None:
        self._place = TopicPartition(name, 0)
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench", "allow.auto.create.topics": False})
        self._kafka = kafka

    def end(self) -> int:
        """Return the offset after the last message; 0 while there is no topic."""
        known = self._consumer.list_topics(timeout=10).topics
        if self._place.topic not in known:
            return 0
        return int(self._consumer.get_watermark_offsets(self._place, timeout=10)[1])

    def wait(self, beyond: int, daemon: Daemon) -> float:
        """Return the time (monotonic seconds) at which the topic was seen to have more than ``beyond`` messages."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            now = time.monotonic()
            if self.end() > beyond:
                return now
            daemon.check()
            if now > deadline:
                raise Failed("the topic does not fill")
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def wait_applied(pipeline: Pipeline, beyond: int, daemon: Daemon) -> float:
    """Return the time (monotonic seconds) at which apply's checkpoint was seen above offset ``beyond``."""
    deadline = time.monotonic() + _PATIENCE_S
    with psycopg.connect(pipeline.target, autocommit=True) as connection:
        while True:
            now = time.monotonic()
            if pipeline.checkpoint(connection) > beyond:
                return now
            daemon.check()
            if now > deadline:
                raise Failed("the target does not fill")
            time.sleep(_LOOK_S)


def _database(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def _drop(url: str) -> None:
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots "
            "WHERE database = %s AND active_pid IS NOT NULL", (name,)
        )  # fmt: skip
        connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (name,)
        )
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
