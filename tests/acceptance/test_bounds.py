"""What must stay bounded: the memory of both daemons while brokers are away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.daemons_pipeline import patiently, until
from tests.support.memory import assert_bounded, peak_mib

if TYPE_CHECKING:
    from operate.local.stack import Stack
    from tests.support.daemons import Daemon
    from tests.support.daemons_setting import Setting

pytestmark = [pytest.mark.live, pytest.mark.slow]


def test_brokers_that_are_away_while_the_source_writes_cost_no_memory(mortal: Stack, mortal_setting: Setting) -> None:
    """Capture's queue takes far less than what is written meanwhile."""
    pipeline = mortal_setting.pipeline
    with psycopg.connect(pipeline.source, autocommit=True) as source:
        source.execute("CREATE TABLE heaped (id int PRIMARY KEY, v text)")
        mortal_setting.load()
        mortal.kill("kafka")
        for part in range(20):
            source.execute(
                "INSERT INTO heaped SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 40) j) "
                f"FROM generate_series({part * 12_500}, {part * 12_500 + 12_499}) i"
            )
        written = source.execute("SELECT sum(length(v)) / 1048576 FROM heaped").fetchone()
        assert written is not None
        assert written[0] > 300
        steady(pipeline.capture)
        mortal.start("kafka")
        pipeline.patience_s = 300
        patiently(mortal_setting.settle)
    assert_bounded(pipeline)


def steady(daemon: Daemon) -> None:
    """Wait until a daemon's memory does not grow any more."""
    seen = [0.0]

    def grows_no_more() -> bool:
        seen.append(peak_mib(daemon))
        return len(seen) > 50 and seen[-1] - seen[-50] < 1

    until(grows_no_more, f"the memory of {daemon.name} is steady", 120)
