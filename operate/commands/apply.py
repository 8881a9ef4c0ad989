"""``ferryman apply``: the daemon from the topics to one target, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from operate import daemon
from operate.daemon import DEFAULT_HTTP, Http, Level, LogFormat, LogLevel, PipelineFile
from runtime import config

if TYPE_CHECKING:
    from runtime.signals import Stop

Instance = Annotated[
    str | None,
    typer.Option(
        envvar="FERRYMAN_INSTANCE",
        help="A name of this replica that stays the same over restarts: it gets its partitions back at once.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Daemons")(apply)


def apply(
    pipeline: PipelineFile,
    instance: Instance = None,
    http: Http = DEFAULT_HTTP,
    log_format: LogFormat = None,
    log_level: LogLevel = Level.INFO,
) -> None:
    """Apply the topics to the target, until SIGTERM. Any number of replicas share the tables.

    Commits or rolls back what it does and exits 0 on SIGTERM; a second signal ends it at once.

    Example: [bold]ferryman apply shop.yaml --instance apply-1[/bold]
    """

    def body(stop: Stop) -> int:
        from apply.main import run  # noqa: PLC0415 - the engine is loaded only where it runs

        return run(config.load(pipeline, {"kafka", "target"}), instance, http, stop)

    daemon.run(log_format, log_level, body)
