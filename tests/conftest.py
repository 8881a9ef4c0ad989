"""Real servers for the tests marked ``live``: one stack a run, a fresh database and pipeline name a test."""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from runtime.errors import FerrymanError
from tests.support.databases import fresh_database, fresh_mysql_database
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No test asserts how long something takes: a busy machine is no bug. Every run tries the same examples, so that a test
#: which fails tells of a change; ``--hypothesis-profile explore`` tries others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ferryman", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("ferryman")

#: What a pipeline's name may have.
LONGEST_PIPELINE_NAME = 40


@pytest.fixture(scope="session")
def session_stack() -> Iterator[SessionStack]:
    """The servers of this run, none of them started yet."""
    stack = SessionStack()
    yield stack
    stack.close()


@pytest.fixture(scope="session")
def kafka(session_stack: SessionStack) -> str:
    """Bootstrap address of a broker."""
    return _address(session_stack, "kafka", "FERRYMAN_TEST_KAFKA_URL")


@pytest.fixture(scope="session")
def source_server(session_stack: SessionStack) -> str:
    """Superuser URL of a PostgreSQL with wal_level=logical."""
    return _address(session_stack, "postgresql", "FERRYMAN_TEST_POSTGRESQL_URL")


@pytest.fixture(scope="session")
def target_server(session_stack: SessionStack) -> str:
    """Superuser URL of the PostgreSQL that changes are applied to; another server than the source."""
    return _address(session_stack, "target", "FERRYMAN_TEST_TARGET_URL", "FERRYMAN_TEST_POSTGRESQL_URL")


@pytest.fixture(scope="session")
def mariadb_server(session_stack: SessionStack) -> str:
    """Superuser URL of a MariaDB whose binlog has full row events with names."""
    return _address(session_stack, "mariadb", "FERRYMAN_TEST_MARIADB_URL")


@pytest.fixture(scope="session")
def mysql_server(session_stack: SessionStack) -> str:
    """Superuser URL of a MySQL with GTIDs; a test that asks for it bears the mark ``mysql``."""
    return _address(session_stack, "mysql", "FERRYMAN_TEST_MYSQL_URL")


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.mysql)])
def mysql_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of server that speaks MySQL's protocol: the test runs on both."""
    return request.param


@pytest.fixture
def mysql_kind_server(mysql_kind: str, request: pytest.FixtureRequest) -> str:
    """Superuser URL of the server of this kind."""
    return request.getfixturevalue(f"{mysql_kind}_server")


@pytest.fixture
def mysql_kind_db(mysql_kind_server: str) -> Iterator[str]:
    """URL, with its database, of an empty source database of this test alone, on each kind of server."""
    with fresh_mysql_database(mysql_kind_server, "source") as url:
        yield url


@pytest.fixture
def mariadb_db(mariadb_server: str) -> Iterator[str]:
    """URL, with its database, of an empty source database of this test alone."""
    with fresh_mysql_database(mariadb_server, "source") as url:
        yield url


@pytest.fixture
def mysql_db(mysql_server: str) -> Iterator[str]:
    """The same on MySQL; a test that asks for it bears the mark ``mysql``."""
    with fresh_mysql_database(mysql_server, "source") as url:
        yield url


@pytest.fixture
def source_db(source_server: str) -> Iterator[str]:
    """URL of an empty source database of this test alone."""
    with fresh_database(source_server, "source") as url:
        yield url


@pytest.fixture
def target_db(target_server: str) -> Iterator[str]:
    """URL of an empty target database of this test alone."""
    with fresh_database(target_server, "target") as url:
        yield url


@pytest.fixture
def pipeline_name(request: pytest.FixtureRequest) -> str:
    """A valid pipeline name that no other test has: topics, slots and groups named after it never meet."""
    words = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower()).strip("_")
    suffix = f"_{secrets.token_hex(4)}"
    return f"{words[: LONGEST_PIPELINE_NAME - len(suffix)]}{suffix}"


def _address(stack: SessionStack, name: str, *variables: str) -> str:
    """Return a server's address; without the server, skip on a laptop and fail in CI."""
    try:
        return stack.address(name, *variables)
    except FerrymanError as error:
        message = f"not tested, because there is no {name} server here: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
