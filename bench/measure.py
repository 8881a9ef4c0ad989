"""One run of one subject: started, watched until all rows are there, counted.

The clock starts when the first rows are seen, so that starting a Java or a Python is not part of a rate; CPU time is
that of the whole life of the processes, with what their start took beside it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import watch
from bench.result import Figures
from bench.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.process import Process
    from bench.subject import Subject
    from bench.watch import Target
    from bench.world import World

#: Where more than this share of the rows is there at the first look, the clock starts with the process.
_LARGEST_FIRST_SHARE = 0.5


def captured(
    subject: Subject, world: World, rows: int, messages: int, after: Callable[[Process], None] | None = None
) -> Figures:
    """Run capture until its topic holds so many messages more than now; ``after`` is called before it is stopped."""
    with watch.Topic(world.kafka, subject.topic(world.table.name)) as topic:
        start = topic.end()
        launched = time.monotonic()
        process = subject.capture()
        with Usage(process) as usage:
            began = topic.wait(start + 1, process)
            usage.mark_begin()
            first = (topic.end() - start) / messages
            ended = topic.wait(start + messages, process)
        figures = _figures(usage, rows, (launched, began, ended), first)
        if after is not None:
            after(process)
    process.stop()
    return figures


def applied(
    subject: Subject, world: World, rows: int, expected: int, begun: str, seen: Callable[[Target], int]
) -> Figures:
    """Run apply until the marked row is in the target, and as many rows as are ``expected``.

    ``begun`` is a condition that holds for some row once work was done, ``seen`` tells how much of ``rows`` it was.
    """
    with watch.Target(subject.target, world.table) as target:
        launched = time.monotonic()
        process = subject.apply()
        with Usage(process) as usage:
            began = target.wait_any(begun, process)
            usage.mark_begin()
            first = seen(target) / rows
            target.wait_any(world.table.mark, process)
            ended = target.wait_rows(expected, process)
    process.stop()
    return _figures(usage, rows, (launched, began, ended), first)


def _figures(usage: Usage, rows: int, times: tuple[float, float, float], first: float) -> Figures:
    launched, began, ended = times
    if first > _LARGEST_FIRST_SHARE or ended <= began:
        rate, start_included = rows / (ended - launched), True
    else:
        rate, start_included = rows * (1 - first) / (ended - began), False
    extra = {
        "start_included": start_included,
        "seconds_to_first_row": round(began - launched, 2),
        "cpu_s_to_first_row": round(usage.begin_cpu_s, 2),
        "cpu_s": round(usage.cpu_s, 2),
    }
    return Figures(rate, usage.cpu_s * 1e6 / rows, usage.peak_mb, extra)
