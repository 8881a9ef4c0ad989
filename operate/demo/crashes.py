"""Kills parts of the pipeline with SIGKILL, sees that they are gone, starts them again, and waits for progress."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operate.demo.errors import DemoFailed
from operate.demo.processes import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from operate.demo.processes import Daemon
    from operate.demo.watch import Picture, Watch
    from operate.local.stack import Stack

#: Sessions of apply that have written something which is not committed.
_WRITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'ferryman apply%' AND backend_xid IS NOT NULL"""

#: Seconds after which a part that was started again must have made progress.
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the pipeline that can die and come back.

    ``sign(before, now)`` says how a picture shows that it works again, ``before`` being of the time when it was down;
    None: it does not show it yet.
    """

    name: str
    running: Callable[[], bool]
    kill: Callable[[], None]
    start: Callable[[], None]
    sign: Callable[[Picture, Picture], str | None]


@dataclass(frozen=True, slots=True)
class Crash:
    """A crash as it happened: ``down_s`` from the kill to the new start, ``back_s`` from there to progress."""

    victim: str
    moment: str
    down_s: float
    back_s: float
    sign: str


def daemon(process: Daemon) -> Part:
    """Return capture or apply as a part: its process alone is killed, not its children."""
    sign = {"capture": _resumed, "apply": _taken_over}[process.name]
    return Part(process.name, lambda: process.running, process.kill, process.start, sign)


def server(stack: Stack, name: str) -> Part:
    """Return a server of the stack as a part: kafka, target, or that of the source."""
    title, sign = {
        "kafka": ("Kafka broker", _published),
        "target": ("target server", _committed),
    }.get(name, ("source server", _resumed))
    here = stack.server(name)
    return Part(title, lambda: here.running, lambda: stack.kill(name), lambda: stack.start(name), sign)


def strike(part: Part, moment: str, watch: Watch, meanwhile: Callable[[], None]) -> Crash:
    """Kill it, let ``meanwhile`` happen while it is gone, start it again, and wait until it makes progress.

    Raises DemoFailed when it did not die, or makes no progress within a minute.
    """
    part.kill()
    gone = Stopwatch()
    if part.running():
        raise DemoFailed(f"the {part.name} lives on after SIGKILL")
    meanwhile()
    before = watch.picture
    part.start()
    down, back = gone.seconds, Stopwatch()
    what = f"the {part.name} makes no progress after its restart"
    now = watch.until(lambda picture: part.sign(before, picture) is not None, what, PATIENCE_S)
    return Crash(part.name, moment, down, back.seconds, part.sign(before, now) or "")


def until_writing(target: psycopg.Connection[Any], timeout_s: float) -> bool:
    """Return as soon as apply has an open transaction that has written; False if there was none for so long."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        row = target.execute(_WRITING).fetchone()
        if row is not None and row[0]:
            return True
    return False


def _resumed(before: Picture, now: Picture) -> str | None:
    """A later run of capture has saved its position."""
    return "resumed at the saved position" if now.run > before.run else None


def _taken_over(before: Picture, now: Picture) -> str | None:
    """A new owner's checkpoints have moved."""
    moved = now.next_offset - before.next_offset
    return f"{moved:,} messages applied since" if moved > 0 and now.epochs > before.epochs else None


def _published(before: Picture, now: Picture) -> str | None:
    """The topics have grown, and capture has saved."""
    grown = now.messages - before.messages
    return f"{grown:,} messages published since" if grown > 0 and now.saved_ms > before.saved_ms else None


def _committed(before: Picture, now: Picture) -> str | None:
    """The checkpoints in the target have moved."""
    moved = now.next_offset - before.next_offset
    return f"{moved:,} messages applied since" if moved > 0 and now.target else None
