"""``ferryman wait``: returns when the target has what the source had when it was called."""

from __future__ import annotations

import sys
import time
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.markup import escape

from operate import sources, steering
from operate.daemon import PipelineFile  # noqa: TC001 - typer looks annotations up when it runs
from operate.following import Follower, follow
from operate.output import emit
from operate.waiting import Ask, Verdict
from runtime import config

if TYPE_CHECKING:
    from runtime.config import Pipeline


class Goal(str, Enum):  # noqa: UP042 - typer shows the members' text
    """What can be waited for."""

    SNAPSHOT = "snapshot"
    CAUGHT_UP = "caught-up"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(wait)


def wait(
    pipeline: PipelineFile,
    goal: Annotated[
        Goal,
        typer.Option(
            "--for",
            help="snapshot: all tables are copied. caught-up: everything committed at the source before this call is "
            "in the target, tables made before it included.",
        ),
    ],
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Give up after so long.")] = 600,
    *,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Wait until the target has caught up. Exits 0 when it has, 1 when it has not or cannot.

    A table that is blocked ends the wait at once, with the reason.

    Example: [bold]ferryman wait shop.yaml --for caught-up --timeout 60[/bold]
    """
    sections = {"kafka", "target"} | ({"source"} if goal is Goal.CAUGHT_UP else set())
    started = time.monotonic()
    verdict = await_goal(config.load(pipeline, sections), goal, timeout)
    waited = round(time.monotonic() - started, 3)
    reason = (
        None if verdict.done else verdict.reason if verdict.failed else f"not within {timeout:g} s: {verdict.reason}"
    )
    document = {"done": verdict.done, "waited_seconds": waited, "reason": reason}
    emit(json, document, lambda console: _draw(console, goal, verdict, waited, reason))
    raise typer.Exit(0 if verdict.done else 1)


def await_goal(pipeline: Pipeline, goal: Goal, timeout_s: float) -> Verdict:
    """Ask capture to look at the catalog, mark the source's log, and wait; return the last verdict.

    Raises Unreachable when a system cannot be reached.
    """
    deadline = time.monotonic() + timeout_s
    mark = sources.mark(pipeline) if goal is Goal.CAUGHT_UP else None
    ask = Ask(steering.ask(pipeline, "discover"), mark)
    with Follower(pipeline) as follower, _Line() as line:
        return follow(follower, ask, deadline - time.monotonic(), line.show)


class _Line:
    """One line on a terminal's stderr that says what is missing; nothing elsewhere."""

    def __init__(self) -> None:
        self._status = Console(stderr=True).status("…") if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, verdict: Verdict) -> None:
        if self._status is not None and verdict.reason:
            self._status.update(escape(verdict.reason))


def _draw(console: Console, goal: Goal, verdict: Verdict, waited: float, reason: str | None) -> None:
    if verdict.done:
        console.print(f"[green]✓[/green] {goal.value} after {waited:.1f} s", highlight=False)
        return
    console.print(f"[red]✗[/red] {escape(reason or '')}", highlight=False, soft_wrap=True)
    if verdict.fix:
        console.print(f"  [dim]fix:[/dim] {escape(verdict.fix)}", highlight=False, soft_wrap=True)
