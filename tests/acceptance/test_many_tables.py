"""Very many small tables: loaded, kept in step, and taken up again after a restart, in bounded memory."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.daemons_pipeline import Pipeline, closing
from tests.support.databases import fresh_database
from tests.support.memory import assert_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.daemons_setting import Servers

pytestmark = [pytest.mark.live, pytest.mark.slow]

TABLES = 1_000
#: Seconds until all of it must be in the target; the machine may be busy.
PATIENCE_S = 900
#: Every so many tables one has no key.
KEYLESS_EVERY = 10


def test_a_thousand_tables_are_copied_and_kept_in_step(servers: Servers, tmp_path: Path) -> None:
    name = f"many_{secrets.token_hex(4)}"
    with (
        fresh_database(servers.source, "source") as source,
        fresh_database(servers.target, "target") as target,
        closing(Pipeline(tmp_path, name, servers.brokers, source, target)) as pipeline,
        psycopg.connect(source, autocommit=True) as application,
    ):
        pipeline.patience_s = PATIENCE_S
        make(application)
        pipeline.start()
        pipeline.caught_up()
        change(application, 1)
        pipeline.caught_up()
        pipeline.assert_equal()
        assert_bounded(pipeline, workers=True)

        pipeline.stop()
        change(application, 2)
        pipeline.start()
        change(application, 3)
        pipeline.caught_up()
        pipeline.assert_equal()
        assert {state for state, _, _ in pipeline.states().values()} == {"streaming"}
        assert_bounded(pipeline, workers=True)


def make(application: psycopg.Connection) -> None:
    """Make all tables with some rows each."""
    for number in range(TABLES):
        keyless = number % KEYLESS_EVERY == 0
        key = "" if keyless else " PRIMARY KEY"
        application.execute(f"CREATE TABLE t{number} (id int{key}, v text, n numeric(9, 2))".encode())
        if keyless:
            application.execute(f"ALTER TABLE t{number} REPLICA IDENTITY FULL".encode())
        application.execute(
            f"INSERT INTO t{number} SELECT i, md5(i::text), i / 3.0 FROM generate_series(1, {number % 5 + 1}) i".encode()
        )


def change(application: psycopg.Connection, turn: int) -> None:
    """Insert, update and delete rows of every table, a transaction for each table."""
    for number in range(TABLES):
        with application.transaction():
            application.execute(
                f"INSERT INTO t{number} SELECT i, md5(i::text), {turn} "
                f"FROM generate_series({turn * 100}, {turn * 100 + 9}) i".encode()
            )
            application.execute(f"UPDATE t{number} SET n = n + 1, v = {turn}::text WHERE id % 3 = 0".encode())
            application.execute(f"DELETE FROM t{number} WHERE id = {turn * 100 + 5}".encode())
