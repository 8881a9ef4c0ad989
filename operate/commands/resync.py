"""``ferryman resync``: copy tables again, while everything else goes on."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from operate import steering
from operate.daemon import PipelineFile  # noqa: TC001 - typer looks annotations up when it runs
from operate.following import Follower, follow
from operate.output import emit
from operate.waiting import Ask
from runtime import config, positions, postgres
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from operate.waiting import Verdict
    from schemas.positions import Positions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(resync)


def resync(
    pipeline: PipelineFile,
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="TABLE...", help="Tables by the source's names: public.orders.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All tables of the pipeline.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the new copies are in the target.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="With --wait: give up after so long.")] = 600,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Copy tables again from the source, as after a gap in the log. Other tables go on meanwhile.

    The running capture obeys at once, a stopped one when it starts. In the target a table is emptied and filled
    anew. A table that is blocked by capture is copied by itself as soon as its cause is mended.

    Example: [bold]ferryman resync shop.yaml public.orders --wait[/bold]
    """
    loaded = config.load(pipeline, {"kafka", "target"} if wait else {"kafka"})
    names = chosen(positions.read(loaded.kafka, loaded.pipeline), tables or [], everything=everything)
    offset = steering.ask(loaded, "resync", names)
    verdict = None
    if wait:
        with Follower(loaded) as follower:
            verdict = follow(follower, Ask(offset, tables=frozenset(names)), timeout)
    document = {
        "tables": list(names),
        "done": verdict.done if verdict else None,
        "reason": verdict.reason if verdict else None,
    }
    emit(json, document, lambda console: _draw(console, names, verdict))
    raise typer.Exit(0 if verdict is None or verdict.done else 1)


def chosen(standing: Positions, given: Sequence[str], *, everything: bool) -> tuple[str, ...]:
    """Return the names of the tables that are meant, as capture spells them; raises BadInput for an unknown one."""
    if everything == bool(given):
        raise BadInput(
            "no table is named" if not given else "both --all and tables are given",
            "TABLE",
            "name tables, or give --all",
        )
    if not standing.tables:
        raise BadInput("this pipeline has no tables yet", fix="start `ferryman capture` first")
    if everything:
        return tuple(sorted(standing.tables))
    return tuple(dict.fromkeys(_known(standing, text) for text in given))


def _known(standing: Positions, text: str) -> str:
    name = postgres.spell(*postgres.parse_name(text))
    if name not in standing.tables:
        close = get_close_matches(name, standing.tables, n=3, cutoff=0.5)
        fix = f"did you mean {' or '.join(close)}?" if close else "`ferryman status` lists the tables"
        raise BadInput("this pipeline has no such table", text, fix)
    return name


def _draw(console: Console, names: Sequence[str], verdict: Verdict | None) -> None:
    for name in names:
        console.print(f"{escape(name)} will be emptied in the target and copied again", highlight=False)
    if verdict is not None and verdict.done:
        console.print("[green]✓[/green] the new copies are in the target")
    elif verdict is not None:
        console.print(f"[red]✗[/red] {escape(verdict.reason or '')}", highlight=False, soft_wrap=True)
