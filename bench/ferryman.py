"""ferryman as a subject: its daemons as processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench import watch
from bench.process import Process

if TYPE_CHECKING:
    from bench.world import World


class Ferryman:
    """The daemons of this working folder, with the settings that they have by themselves."""

    name = "ferryman"
    applies = True
    opening = 1  # the truncate that opens every snapshot

    def __init__(self, world: World) -> None:
        self._world = world
        self._pipeline = f"{world.name}_f"
        self.target = world.new_target(self._pipeline)
        self._file = world.folder / f"{self._pipeline}.yaml"
        self._file.write_text(
            f"pipeline: {self._pipeline}\n"
            f"kafka:\n  bootstrap_servers: {world.kafka}\n"
            f"source:\n  type: {world.site.kind}\n  url: {world.source}\n"
            f"target:\n  url: {self.target}\n"
            f"tables:\n  - include: {world.namespace}.*\n"
        )

    def topic(self, table: str) -> str:
        """Return the topic of a table."""
        return f"{self._pipeline}.{self._world.namespace}.{table}"

    def announce(self) -> None:
        """Do nothing: capture writes its schemas down as it needs them."""

    def keep_changes(self, rows: int) -> None:
        """Let capture carry the rows that are there; it makes its slot, and its position is saved when it ends."""
        with watch.Topic(self._world.kafka, self.topic(self._world.table.name)) as topic:
            process = self.capture()
            topic.wait(rows + self.opening, process)
        process.stop()

    def settle(self, rows: int) -> None:
        """Let apply bring them."""
        process = self.apply()
        with watch.Target(self.target, self._world.table) as target:
            target.wait_rows(rows, process)
        process.stop()

    def capture(self) -> Process:
        """Start ``ferryman capture``."""
        return self._daemon("capture")

    def apply(self) -> Process:
        """Start ``ferryman apply``, under a name: after a crash it has its partitions back at once."""
        return self._daemon("apply", "--instance", "bench")

    def pipeline(self) -> list[Process]:
        """Start both daemons."""
        return [self.capture(), self.apply()]

    def _daemon(self, command: str, *options: str) -> Process:
        argv = [sys.executable, "-P", "-m", "operate.main", command, str(self._file), *options]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        return Process(command, argv, self._world.folder / f"{self._pipeline}-{command}.log", environment)
