"""Pipelines of real processes between databases of their own, with the mixed workload's tables in them."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.contents_reader import Reader
from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """A pipeline, the workload on its source, and the invariant reader on its target."""

    pipeline: Pipeline
    workload: Workload
    reader: Reader

    def load(self) -> None:
        """Start both daemons and wait until everything is in the target."""
        self.pipeline.start()
        self.pipeline.caught_up()

    def settle(self) -> None:
        """Everything is in the target, nothing is different, and no reader saw a state that the source never had."""
        self.pipeline.caught_up()
        self.pipeline.assert_equal()
        assert self.reader.breaches == []


@pytest.fixture(scope="session")
def new_setting(
    tmp_path_factory: pytest.TempPathFactory, kafka: str, source_server: str, target_server: str
) -> Callable[..., AbstractContextManager[Setting]]:
    """Make a setting with its tables; no daemon runs yet. Keywords: sections of the pipeline file; ``seed``."""

    @contextmanager
    def make(name: str, seed: object = 0, **settings: dict[str, Any]) -> Iterator[Setting]:
        with fresh_database(source_server, "source") as source, fresh_database(target_server, "target") as target:
            workload = Workload(source, seed)
            workload.prepare()
            full_name = f"{name}_{secrets.token_hex(4)}"
            folder: Path = tmp_path_factory.mktemp(name)
            with closing(Pipeline(folder, full_name, kafka, source, target, **settings)) as pipeline:
                yield Setting(pipeline, workload, Reader(target, workload.ledger))

    return make


@pytest.fixture
def setting(new_setting: Callable[..., AbstractContextManager[Setting]]) -> Iterator[Setting]:
    """A setting of this test alone."""
    with new_setting("acceptance") as made:
        yield made


class Sweep:
    """One setting for many tests, so that not each has to load it. A test that fails leaves a new one to the next."""

    def __init__(self, new_setting: Callable[..., AbstractContextManager[Setting]]) -> None:
        self._new, self._stack, self._current = new_setting, ExitStack(), None

    @contextmanager
    def round(self) -> Iterator[Setting]:
        """Give the setting, loaded, its daemons stopped; they must be stopped again at the end."""
        if self._current is None:
            self._current = self._stack.enter_context(self._new("sweep"))
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


@pytest.fixture(scope="module")
def sweep(new_setting: Callable[..., AbstractContextManager[Setting]]) -> Iterator[Sweep]:
    """The setting that the tests of a module share."""
    made = Sweep(new_setting)
    yield made
    made.close()
