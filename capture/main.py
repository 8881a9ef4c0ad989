"""``ferryman capture``: runs until it is told to stop, and begins again at the saved position after every failure."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import structlog

from capture.control import ControlReader
from capture.loop import Loop
from capture.pace import Pace
from capture.positions import PositionsWriter, SaveFailed
from capture.publisher import DeliveryFailed, Publisher
from capture.run import Parts, Run
from capture.snapshot.workers import WorkerPool
from capture.source import SourceError, SourceUnavailable
from runtime import garbage, http, metrics
from runtime.errors import Refused, Unreachable
from runtime.failpoints import FailpointError
from runtime.policy import Pause
from runtime.schema_store import SchemaWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from capture.source import Source
    from runtime.config import Pipeline, SourceConfig
    from runtime.signals import Stop

log = structlog.get_logger()

#: Folder and class of each kind of source.
_SOURCES: Final = {
    "postgresql": ("postgres", "PostgresSource"),
    "mysql": ("mysql", "MySQLSource"),
    "mariadb": ("mysql", "MySQLSource"),
}

#: What ends a run but not the daemon.
_REWIND = (DeliveryFailed, SaveFailed, SourceUnavailable, Unreachable, FailpointError)


def run(pipeline: Pipeline, http_address: str, stop: Stop) -> int:
    """Capture until ``stop`` is requested; return the exit code.

    Raises Refused when the source or the brokers refuse us for good.
    """
    health = http.Health("capture", pipeline.retry.stuck_seconds)
    address = http.serve(http_address, health)
    log.info("capture.started", pipeline=pipeline.pipeline, http=address)
    # Arrow's own allocator keeps what it was given: 25 MiB more at the height of a snapshot, and no faster here.
    pa.set_memory_pool(pa.system_memory_pool())
    spool = _spool(pipeline.pipeline)
    try:
        daemon = _Daemon(pipeline, spool, address, health)
        garbage.settle()
        return daemon.run(stop)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


class _Daemon:
    def __init__(self, pipeline: Pipeline, spool: Path, address: str, health: http.Health) -> None:
        assert pipeline.source is not None, "the configuration was loaded with its source section"
        self._config, self._kind = pipeline.source, _kind(pipeline.source)
        self._pipeline, self._spool, self._address, self._health = pipeline, spool, address, health
        self._pause = Pause.passing(pipeline.retry)

    def run(self, stop: Stop) -> int:
        while not stop.requested:
            try:
                self._one(stop)
            except Refused:
                raise
            except _REWIND as error:
                metrics.CAPTURE_REWINDS.labels(type(error).__name__).inc()
                pause_s = round(self._pause.next(), 2)
                log.warning("capture.rewinds", reason=str(error), cause=type(error).__name__, pause_s=pause_s)
                self._health.retrying()
                stop.wait(pause_s)
            except SourceError as error:
                raise Refused(error.what, "source", error.fix) from error
        log.info("capture.stopped", pipeline=self._pipeline.pipeline)
        return 0

    def _one(self, stop: Stop) -> None:
        """One run, from its start record until the stop or a failure."""
        one = Run(self._pipeline, self._parts(), self._spool, self._address)
        try:
            one.begin()
            loop = Loop(one, Pace())
            while not stop.requested:
                loop.turn()
                self._health.beat()
                self._pause.reset()
            loop.finish()
        finally:
            one.close()

    def _parts(self) -> Parts:
        pipeline, topics, kafka = self._pipeline, self._pipeline.topics, self._pipeline.kafka
        source = self._kind(pipeline.pipeline, self._config, pipeline.tables)

        def meanwhile() -> None:
            source.keep_alive()
            self._health.retrying()

        return Parts(
            source=source,
            publisher=Publisher(pipeline, source, SchemaWriter(kafka, topics, pipeline.pipeline), meanwhile),
            positions=PositionsWriter(kafka, topics, pipeline.pipeline),
            pool=WorkerPool(source.chunk_reader(), self._config.snapshot.workers),
            control=lambda offset: ControlReader(kafka, topics, pipeline.pipeline, offset),
        )


def _kind(config: SourceConfig) -> Callable[..., Source]:
    """Return the class of the kind of source that is configured; each kind's driver is loaded only where it is used."""
    module, name = _SOURCES[config.type]
    kind: Callable[..., Source] = getattr(importlib.import_module(f"capture.sources.{module}.source"), name)
    return kind


def _spool(pipeline: str) -> Path:
    """Return a fresh folder for the rows of chunks; folders of daemons that died are cleared away."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"ferryman-{pipeline}-*.spool"):
        pid = left.name.removesuffix(".spool").rpartition("-")[2]
        if not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"ferryman-{pipeline}-{os.getpid()}.spool"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
