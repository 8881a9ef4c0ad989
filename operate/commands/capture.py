"""``ferryman capture``: the daemon from one source to its topics, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operate import daemon
from operate.daemon import DEFAULT_HTTP, Http, Level, LogFormat, LogLevel, PipelineFile
from runtime import config

if TYPE_CHECKING:
    import typer

    from runtime.signals import Stop


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Daemons")(capture)


def capture(
    pipeline: PipelineFile,
    http: Http = DEFAULT_HTTP,
    log_format: LogFormat = None,
    log_level: LogLevel = Level.INFO,
) -> None:
    """Copy the source's tables into topics and follow every change, until SIGTERM.

    Finishes, saves its position and exits 0 on SIGTERM; a second signal ends it at once.

    Example: [bold]ferryman capture shop.yaml --http 127.0.0.1:9464[/bold]
    """

    def body(stop: Stop) -> int:
        from capture.main import run  # noqa: PLC0415 - the engine is loaded only where it runs

        return run(config.load(pipeline, {"kafka", "source"}), http, stop)

    daemon.run(log_format, log_level, body)
