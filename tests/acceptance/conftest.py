"""What the acceptance tests stand on: the servers of this run, and pipelines on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.daemons_setting import Servers, Setting, Sweep, new_setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def servers(kafka: str, source_server: str, target_server: str) -> Servers:
    """Servers that stay up: only daemons die on them."""
    return Servers(kafka, source_server, target_server)


@pytest.fixture
def setting(servers: Servers, tmp_path: Path) -> Iterator[Setting]:
    """A setting of this test alone, nothing started."""
    with new_setting(servers, tmp_path, "acceptance") as made:
        yield made


@pytest.fixture(scope="module")
def sweep(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """The setting that the tests of a module share."""
    made = Sweep(servers, tmp_path_factory.mktemp("sweep"), "sweep")
    yield made
    made.close()
