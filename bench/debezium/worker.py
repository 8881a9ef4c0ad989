"""One Kafka Connect worker in a process of its own, with its connectors from the start."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from bench.debezium import connectors, jvm
from bench.process import Failed, Process
from operate.local import ports
from operate.local.kafka import LOG_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.debezium.connectors import Settings
    from bench.debezium.jars import Jars
    from bench.debezium.jvm import Jvm

#: Seconds between two questions whether a task has failed: a failed task does not end its worker.
_ASK_S = 2.0


class Worker(Process):
    """A standalone worker. ``state`` is the file that keeps the offsets of its sources from run to run."""

    def __init__(
        self, jars: Jars, java: Jvm, kafka: str, folder: Path, state: Path, connectors_by_name: Mapping[str, Settings]
    ) -> None:
        self._port = ports.free_port()
        self._asked = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        settings = connectors.worker(kafka, [str(plugin) for plugin in jars.plugins], self._port, str(state))
        files = [_write(folder / "worker.properties", settings)]
        for name, connector in connectors_by_name.items():
            files.append(_write(folder / f"{name}.properties", {"name": name} | connector))
        (folder / "log4j2.properties").write_text(LOG_SETTINGS)
        logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
        command = [java.program, *jvm.OPTIONS, logging, "-cp", f"{jars.connect}/*"]
        command += ["org.apache.kafka.connect.cli.ConnectStandalone", *files]
        self._names = list(connectors_by_name)
        super().__init__("connect", command, folder / "worker.log", os.environ)

    def check(self) -> None:
        """Raise Failed if it ended by itself or one of its tasks failed."""
        super().check()
        if time.monotonic() - self._asked > _ASK_S:
            self._asked = time.monotonic()
            for name in self._names:
                self._check_tasks(name)

    def _check_tasks(self, name: str) -> None:
        try:
            with urllib.request.urlopen(
                f"http://{ports.HOST}:{self._port}/connectors/{name}/status", timeout=10
            ) as answer:
                status = json.load(answer)
        except (urllib.error.URLError, OSError):
            return  # still starting; a worker that ends is noticed otherwise
        for part in [status["connector"], *status["tasks"]]:
            if part["state"] == "FAILED":
                raise Failed(f"connector {name} failed: {part.get('trace', '')[:2_000]}")


def _write(path: Path, settings: Mapping[str, str]) -> str:
    path.write_text(connectors.properties(settings))
    path.chmod(0o600)  # passwords
    return str(path)
