"""What the acceptance tests stand on: the servers of this run, and pipelines on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from operate.local.stack import Stack
from tests.support.daemons_setting import Servers, Setting, Sweep, new_setting
from tests.support.session_stack import SessionStack

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


@pytest.fixture(scope="module")
def mortal(kafka: str) -> Iterator[Stack]:
    """Servers of this module alone, which its tests may kill. (``kafka`` says whether servers can be had at all.)"""
    session = SessionStack()
    yield Stack(session.folder / "stack").up()
    session.close()


@pytest.fixture
def mortal_setting(mortal: Stack, tmp_path: Path) -> Iterator[Setting]:
    """A setting on servers that may be killed; those that a test before left dead are started."""
    addresses = mortal.up().addresses
    servers = Servers(*(str(addresses[name]) for name in ("kafka", "postgresql", "target")))
    with new_setting(servers, tmp_path, "mortal") as made:
        yield made
