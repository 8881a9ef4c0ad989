"""``ferryman teardown``: take away what a pipeline made."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from operate import observing
from operate.daemon import PipelineFile  # noqa: TC001 - typer looks annotations up when it runs
from operate.output import emit, note
from operate.teardown import Parts, find, remove
from runtime import config
from runtime.errors import BadInput, FerrymanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from runtime.config import Pipeline


class Running(FerrymanError):
    """A daemon still works with what would be taken away."""

    exit_code = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(teardown)


def teardown(
    pipeline: PipelineFile,
    *,
    source: Annotated[bool, typer.Option("--source", help="The replication slot and the publication.")] = False,
    target: Annotated[bool, typer.Option("--target", help="The control rows; the copied tables stay.")] = False,
    topics: Annotated[bool, typer.Option("--topics", help="The topics, with every event in them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document; needs --yes.")] = False,
) -> None:
    """Take away what the pipeline made: all of it, or the parts that are named. The copied tables stay.

    Says what it will take away before it asks. Slot and publication that a DBA owns (create: false) stay too.

    Example: [bold]ferryman teardown shop.yaml --yes[/bold]
    """
    if json and not yes:
        raise BadInput("--json cannot ask", "--json", "add --yes")
    parts = Parts(source, target, topics) if source or target or topics else Parts()
    loaded = config.load(pipeline, {"kafka", "source"} | ({"target"} if parts.target else set()))
    refuse_running(loaded, parts)
    made = find(loaded, parts)
    if made.everything and not yes:
        _confirm(made.everything)
    remove(loaded, parts, made)
    emit(json, {"removed": made.everything}, lambda console: _draw(console, made.everything))


def refuse_running(pipeline: Pipeline, parts: Parts) -> None:
    """Raise Running when a daemon uses what is to go; a replica that is just leaving is waited for.

    One with a name of its own stays a member for its session timeout after it has ended.
    """
    if (parts.source or parts.topics) and observing.capturing(pipeline):
        raise Running("capture is running", "source", "stop `ferryman capture` first")
    if not (parts.target or parts.topics):
        return
    deadline = time.monotonic() + pipeline.commands.leaving_seconds
    while (found := observing.applying(pipeline)) is not False:
        if time.monotonic() > deadline:
            if found is None:
                raise Running("the brokers do not say whether apply is running", "kafka", "check them, and try again")
            raise Running("apply is running", "target", "stop every `ferryman apply` first")
        time.sleep(0.5)


def _confirm(what: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise BadInput("nobody is there to confirm", fix="add --yes")
    for one in what:
        note(f"will be removed: {one}")
    typer.confirm("Remove all of this?", abort=True, err=True)


def _draw(console: Console, removed: Sequence[str]) -> None:
    for one in removed:
        console.print(f"[green]✓[/green] removed {escape(one)}", highlight=False, soft_wrap=True)
    if not removed:
        console.print("there is nothing to remove")
