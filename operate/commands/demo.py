"""``ferryman demo``: the whole story on real data, on servers of its own."""

from __future__ import annotations

import signal
import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from operate.demo import display, summary, world
from operate.demo.application import APPLICATIONS
from operate.demo.errors import DemoFailed
from operate.demo.story import Outcome, Story
from operate.output import emit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from operate.demo.application import Application
    from operate.demo.display import Display


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Testing")(demo)


class Kind(str, Enum):  # noqa: UP042 - typer shows the members' text
    """Which database the demo carries from."""

    POSTGRESQL = "postgresql"
    MARIADB = "mariadb"


def demo(
    *,
    source: Annotated[Kind, typer.Option("--source", help="The kind of database at the source.")] = Kind.POSTGRESQL,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave servers and daemons running, and say how to look.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End and delete the demos that were kept.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document; progress goes to stderr.")] = False,
) -> None:
    """Carry the flights of New York through Kafka, kill every part on the way, and prove that nothing was lost.

    Starts two database servers and a Kafka broker of its own, and removes all of it at the end. Takes about two
    minutes. Exit codes: 0 every promise was kept, 1 one was not.

    Example: [bold]ferryman demo --keep[/bold]
    """
    if stop:
        _stop(json)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    outcome = _run(display.choose(Console(stderr=json)), APPLICATIONS[source.value](), keep=keep)
    emit(json, outcome.document(), lambda _: None)
    raise typer.Exit(0 if outcome.ok else 1)


def _run(shown: Display, application: Application, *, keep: bool) -> Outcome:
    """Tell the story, and leave nothing behind unless it is to be kept, whatever happens."""
    here = world.World(shown.note, application)
    kept = False
    try:
        story = Story(here, shown)
        with shown:
            _tell(story, lambda: summary.show_logs(shown.console, here))
        summary.show(shown.console, story.outcome)
        if keep:
            here.keep()
            kept = True
            summary.show_way_around(shown.console, here)
    finally:
        if not kept:
            here.remove()
    return story.outcome


def _tell(story: Story, show_logs: Callable[[], None]) -> None:
    try:
        story.tell()
    except DemoFailed as failure:
        story.outcome.failure = str(failure)
        show_logs()
    except Exception:  # whatever it is: the daemons' last words are wanted beside it
        show_logs()
        raise


def _stop(json: bool) -> None:  # noqa: FBT001 - it is the flag
    removed = [str(folder) for folder in world.remove_kept()]
    said = "\n".join(f"removed {escape(folder)}" for folder in removed) or "no demo was kept"
    emit(json, {"removed": removed}, lambda console: console.print(said, highlight=False))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C: with everything removed."""
    sys.exit(130)
