"""Faults that take several steps: a death at a failpoint, a frozen daemon that wakes up and finds itself replaced."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import psycopg

from runtime.failpoints import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from tests.support.daemons_setting import Setting

#: Failpoints that a process meets once, unless something makes it begin anew.
AGAIN: Final = {"capture.started": "capture.produced=error"}
#: Copied anew, these tables with three new ones lead past every failpoint.
COPIED: Final = ("public.documents", "public.visits", "public.pairs")
#: Failpoints that few passes lead to outside the start of a daemon.
_RARE: Final = ("apply.takeover", "capture.started")

_numbers = count()


def armed(name: str | None, nth: int) -> str:
    """Return what makes a daemon die at its ``nth`` pass of a failpoint."""
    if name is None:
        return ""
    kill = f"{name}=kill@{nth}"
    return f"{kill},{AGAIN[name]}" if nth > 1 and name in AGAIN else kill


@contextmanager
def fresh_tables(source: str) -> Iterator[None]:
    """Three tables that are new while something happens, so that tables are found, made and loaded."""
    batch = next(_numbers)
    names = [f"fresh_{batch}_{number}" for number in range(3)]
    with psycopg.connect(source, autocommit=True) as connection:
        for name in names:
            connection.execute(
                f"CREATE TABLE {name} AS SELECT i AS id, repeat('x', i) AS v FROM generate_series(1, 400) i"
            )
            connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        yield
        connection.execute(f"DROP TABLE {', '.join(names)}")


def die_at_a_failpoint(setting: Setting, random: Random) -> str:
    """Start a daemon anew so that it dies at a failpoint, with tables to be found and copied on its way; say where."""
    name = random.choice(list(NAMES))
    nth = 1 if name in _RARE else random.choice([1, 2, 3])
    pipeline = setting.pipeline
    daemon = pipeline.daemon(name.partition(".")[0])
    daemon.kill()
    with setting.fresh_tables():
        pipeline.resync(*setting.copied)
        daemon.start(armed(name, nth))
        daemon.wait_for_death_at(name)
        daemon.start()
        pipeline.caught_up()
    return f"{name}@{nth}"


def replace_frozen_apply(setting: Setting) -> None:
    """Freeze apply inside a transaction until another replica has taken over all it had, then let it wake up."""
    pipeline = setting.pipeline
    zombie = pipeline.apply
    heir = pipeline.another("apply", "--instance", f"heir{next(_numbers)}", label="heir")
    zombie.stop()
    zombie.start("apply.before_commit=stop@5")
    zombie.wait_for_stop_at("apply.before_commit")
    heir.start()
    try:
        heir.wait_for_event("partition.taken_over")
        setting.reader.wait_for_news()
    finally:
        zombie.thaw()
    setting.reader.wait_for_news()
    assert heir.stop() == 0, heir.last_words()
    heir.end()


def replace_frozen_capture(setting: Setting) -> None:
    """Freeze capture until the server ends its stream and another capture has it, then let it wake up."""
    pipeline = setting.pipeline
    zombie = pipeline.capture
    heir = pipeline.another("capture", label="heir-capture")
    run = pipeline.positions().run
    zombie.freeze()
    try:
        heir.start()
        pipeline.wait_for_saved(lambda saved: saved.stream is not None and saved.stream.run > run)
        setting.reader.wait_for_news()
    finally:
        zombie.thaw()
    zombie.wait_for_event("capture.rewinds")
    setting.reader.wait_for_news()
    assert heir.stop() == 0, heir.last_words()
    heir.end()
