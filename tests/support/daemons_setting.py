"""Pipelines of real processes between databases of their own, with the mixed workload's tables in them."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import trials
from tests.support.contents_reader import Reader
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.proxy import Proxy


class Servers(NamedTuple):
    """Where a pipeline runs: the brokers, and superuser URLs of both database servers."""

    brokers: str
    source: str
    target: str


@dataclass(frozen=True)
class Setting:
    """A pipeline, the workload on its source, and the invariant reader on its target."""

    pipeline: Pipeline
    workload: Workload
    reader: Reader

    @property
    def copied(self) -> Sequence[str]:
        """The tables that a fault may have copied anew on its way."""
        return trials.COPIED

    def fresh_tables(self) -> AbstractContextManager[None]:
        """Tables that are new while something happens."""
        return trials.fresh_tables(self.pipeline.source)

    def load(self) -> None:
        """Start both daemons and wait until everything is in the target."""
        self.pipeline.start()
        self.pipeline.caught_up()

    def settle(self) -> None:
        """Everything is in the target, nothing is different, and no reader saw a state that the source never had."""
        self.pipeline.caught_up()
        self.pipeline.assert_equal()
        assert self.reader.breaches == []


@contextmanager
def new_setting(
    servers: Servers,
    folder: Path,
    name: str,
    seed: object = 0,
    proxies: Mapping[str, Proxy] | None = None,
    **settings: dict[str, Any],
) -> Iterator[Setting]:
    """Make a setting with its tables; no daemon runs yet. ``settings`` are sections of the pipeline file.

    With ``proxies``, by link, the daemons go through them.
    """
    with fresh_database(servers.source, "source") as source, fresh_database(servers.target, "target") as target:
        workload = Workload(source, seed)
        workload.prepare()
        full_name = f"{name}_{secrets.token_hex(4)}"
        with closing(Pipeline(folder, full_name, servers.brokers, source, target, proxies, **settings)) as pipeline:
            yield Setting(pipeline, workload, Reader(target, workload.ledger))


class Sweep:
    """One setting for many tests, so that not each has to load it. A test that fails leaves a new one to the next.

    ``settings`` are those of :func:`new_setting`.
    """

    def __init__(self, servers: Servers, folder: Path, name: str, **settings: Any) -> None:
        self._servers, self._folder, self._name, self._settings = servers, folder, name, settings
        self._stack = ExitStack()
        self._current: Setting | None = None
        self._number = 0

    @contextmanager
    def round(self) -> Iterator[Setting]:
        """Give the setting, loaded, its daemons stopped; they must be stopped again at the end."""
        if self._current is None:
            self._number += 1
            folder = self._folder / str(self._number)
            self._current = self._stack.enter_context(new_setting(self._servers, folder, self._name, **self._settings))
            self._current.load()
            self._current.pipeline.stop()
        try:
            yield self._current
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End what runs."""
        self._stack.close()
        self._current = None
