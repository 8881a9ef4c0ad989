"""What ``ferryman capture`` and ``ferryman apply`` share: their options, and how they start and end."""

from __future__ import annotations

import resource
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from operate.explain import explain
from runtime import logs
from runtime.errors import FerrymanError
from runtime.signals import Stop

if TYPE_CHECKING:
    from collections.abc import Callable


class Format(str, Enum):  # noqa: UP042 - typer shows the members' text
    """Choices of ``--log-format``."""

    JSON = "json"
    CONSOLE = "console"


class Level(str, Enum):  # noqa: UP042 - as Format
    """Choices of ``--log-level``."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE", help="The pipeline file.")]
Http = Annotated[
    str,
    typer.Option(
        "--http", metavar="HOST:PORT", envvar="FERRYMAN_HTTP", help="Where /metrics, /healthz and /readyz answer."
    ),
]
LogFormat = Annotated[
    Format | None,
    typer.Option(envvar="FERRYMAN_LOG_FORMAT", help="Default: console on a terminal, json elsewhere."),
]
LogLevel = Annotated[Level, typer.Option(envvar="FERRYMAN_LOG_LEVEL", help="The least level that is logged.")]

#: Any free port of this machine alone; the log and `ferryman status` say which.
DEFAULT_HTTP = "127.0.0.1:0"


def run(log_format: Format | None, log_level: Level, body: Callable[[Stop], int]) -> None:
    """Run a daemon's ``body`` until it returns its exit code; its errors are logged and end the process with theirs."""
    logs.configure(log_format.value if log_format else None, log_level.value)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold rows and passwords
    try:
        code = body(Stop().install())
    except Exception as error:  # noqa: BLE001 - the top of the program: everything ends as a log line and a code
        code = _report(error)
    raise typer.Exit(code)


def _report(error: Exception) -> int:
    log, known = structlog.get_logger(), explain(error)
    if not isinstance(error, FerrymanError):
        log.error("daemon.failed", exc_info=error)
    for fault in known.faults:
        log.error("daemon.ended", what=fault.what, where=fault.where, fix=fault.fix)
    return known.exit_code
