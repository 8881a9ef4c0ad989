"""The schema registry of the peer's Avro: Apicurio in memory. It is no part of what is measured."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Self

from bench.process import Failed, Process
from operate.local import java, ports

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Seconds until it must answer.
_START_S = 120
_LOOK_S = 0.2


class Registry:
    """A running registry; a context manager, so that it ends with the run."""

    def __init__(self, content: Path, folder: Path) -> None:
        self._port = ports.free_port()
        (program,) = content.glob("*-runner.jar")
        command = [
            java.find().program, "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.port={self._port}",
            f"-Dquarkus.http.host={ports.HOST}", "-jar", str(program),
        ]  # fmt: skip
        self._process = Process("registry", command, folder / "registry.log", os.environ)

    @property
    def url(self) -> str:
        """Where the converters find it."""
        return f"http://{ports.HOST}:{self._port}/apis/registry/v2"

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _START_S
        while not self._answers():
            self._process.check()
            if time.monotonic() > deadline:
                self._process.kill()
                raise Failed("the schema registry does not answer")
            time.sleep(_LOOK_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/search/artifacts", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
