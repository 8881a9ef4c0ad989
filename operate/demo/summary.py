"""How the demo ends: what was done, what died, what was proved, and where to look around."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from operate.demo.world import NAME

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from operate.demo.story import Outcome
    from operate.demo.world import World


def show(console: Console, outcome: Outcome) -> None:
    """Print the verdict."""
    colour = "green" if outcome.ok else "red"
    verdict = "every promise was kept" if outcome.ok else f"FAILED: {outcome.failure or 'see below'}"
    content = Group(_crashes(outcome), "", _proofs(outcome)) if outcome.crashes else _proofs(outcome)
    title = f"[bold {colour}]{escape(verdict)}[/]"
    console.print(Panel(content, title=title, border_style=colour, padding=(1, 2)))


def _crashes(outcome: Outcome) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for column in ("kill -9", "when", "down", "at work after", ""):
        table.add_column(column, justify="right" if column in ("down", "at work after") else "left")
    table.add_row(*(f"[dim]{column.header}[/]" for column in table.columns))
    for crash in outcome.crashes:
        table.add_row(
            crash.victim, escape(crash.moment), f"{crash.down_s:.1f} s", f"{crash.back_s:.1f} s",
            f"[dim]{crash.sign}[/]",
        )  # fmt: skip
    return table


def _proofs(outcome: Outcome) -> RenderableType:
    again = outcome.reapplied
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_row(f"{outcome.rows:,}", f"rows in {len(outcome.equalities)} tables, compared value by value")
    table.add_row(f"{outcome.changes:,}", f"rows changed in {outcome.transactions} transactions during the day")
    table.add_row(str(len(outcome.crashes)), "crashes")
    table.add_row(_figure(outcome.mismatches), f"rows differ; `ferryman validate`: {_validated(outcome)}")
    table.add_row(_figure(again.worst if again else None), "events applied again, or rows rewritten, by a restart")
    table.add_row(_figure(outcome.republished), "messages published again by a restart")
    table.add_row(f"{outcome.seconds:.0f}", "seconds")
    return table


def _figure(number: int | None) -> str:
    return "?" if number is None else f"[{'green' if number == 0 else 'red'}]{number:,}[/]"


def _validated(outcome: Outcome) -> str:
    return "[green]equal[/]" if outcome.validated else "[red]not equal[/]"


def show_logs(console: Console, world: World) -> None:
    """Print the last lines of both daemons' logs."""
    for daemon in (world.capture, world.apply):
        console.print(f"[bold]the end of {daemon.name}'s log:[/]")
        console.print(daemon.last_words(), markup=False, highlight=False, soft_wrap=True)


def show_way_around(console: Console, world: World) -> None:
    """Print how to look at a pipeline that was kept, and how to end it."""
    file = shlex.quote(str(world.file))
    lines = [
        ("the source", f"{world.application.title}: {world.source}"),
        ("the target", f"psql {world.target}"),
        ("apply's own tables", f"psql {world.target} -c 'SELECT * FROM ferryman.table_state'"),
        ("where it stands", f"ferryman status {file} --watch"),
        ("the events of a table", f"ferryman events {NAME}.public.planes --pipeline-file {file} --max 5"),
        ("compare again", f"ferryman validate {file}"),
        ("logs", f"tail -f {world.capture.log} {world.apply.log}"),
    ]
    lines += [(f"{d.name}'s metrics", f"curl http://{d.address}/metrics") for d in (world.capture, world.apply)]
    lines.append(("end and delete it", "ferryman demo --stop"))
    console.print("Servers and daemons go on running. Look around:")
    for what, command in lines:
        console.print(f"[dim]{what + ':':<23}[/] {escape(command)}", highlight=False, soft_wrap=True)
