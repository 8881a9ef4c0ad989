"""``ferryman check``: the pipeline file and every system that it names, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from operate import daemon, prerequisites
from operate.output import emit, fault_document, show_faults
from operate.prerequisites import Findings
from runtime import config
from runtime.errors import ConfigError, Unreachable

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Before")(check)


def check(
    pipeline: daemon.PipelineFile,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check the pipeline file, connections, privileges and settings; report all faults at once.

    Changes nothing anywhere. Exit codes: 0 nothing found, 1 faults, 2 the file itself is faulty, 3 a system cannot be
    reached.

    Example: [bold]ferryman check shop.yaml[/bold]
    """
    found, code = examine(pipeline)
    document = {
        "ok": not found.faults,
        "faults": [fault_document(fault) for fault in found.faults],
        "warnings": [fault_document(warning) for warning in found.warnings],
    }
    emit(json, document, lambda console: _draw(console, found))
    raise typer.Exit(code)


def examine(pipeline: daemon.PipelineFile) -> tuple[Findings, int]:
    """Return all that is wrong with a pipeline, and the exit code that it means."""
    try:
        loaded = config.load(pipeline, set(config.SECTIONS))
    except ConfigError as error:
        return Findings(error.faults), ConfigError.exit_code
    found = prerequisites.every(loaded)
    return found, Unreachable.exit_code if found.unreachable else 1 if found.faults else 0


def _draw(console: Console, found: Findings) -> None:
    if not found.faults:
        console.print("[green]✓[/green] configuration, connections, privileges and settings are in order")
    show_faults(console, found.faults)
    show_faults(console, found.warnings, "[yellow]![/yellow]")
