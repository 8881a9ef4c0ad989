"""``ferryman failpoints``: where a test can make a daemon die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from operate.output import emit
from runtime.failpoints import NAMES

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Testing")(failpoints)


def failpoints(*, json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False) -> None:
    """List the failpoints: names for FERRYMAN_FAILPOINTS, obeyed with FERRYMAN_ENV=test alone.

    Example: [bold]FERRYMAN_ENV=test FERRYMAN_FAILPOINTS=capture.published=kill@3 ferryman capture shop.yaml[/bold]
    """
    emit(json, list(NAMES), _draw)


def _draw(console: Console) -> None:
    table = Table("name", "where it stands", box=None, pad_edge=False)
    for name, where in NAMES.items():
        table.add_row(name, where)
    console.print(table)
