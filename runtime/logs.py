"""Logs: structlog to stderr, JSON for machines, colours on a terminal, UTC, never a row value.

Event names are constants; what varies is bound as fields. Exceptions are logged by class and place, and by message
only where the message is ours: the text of a database driver's error holds values of rows.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING, Final, Literal

import structlog

from runtime.errors import FerrymanError

if TYPE_CHECKING:
    from structlog.typing import ExcInfo, Processor

Format = Literal["json", "console"]

#: Accepted by ``--log-level``.
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(format: Format | None = None, level: str = "info") -> None:  # noqa: A002 - the word of --log-format
    """Send all logs of the process, the standard library's too, to stderr; without a format the terminal decides."""
    chosen: Format = format or ("console" if sys.stderr.isatty() else "json")
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(number)  # filters of loggers lower a record's level after its logger let it pass
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(chosen)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(describe_exception),
    ]


def _renderer(chosen: Format) -> Processor:
    if chosen == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def describe_exception(exc_info: ExcInfo) -> str:
    """Return an exception and its causes by class and place; by message only where the message is ours."""
    lines = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        place = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-8:]))
        message = f": {error}" if isinstance(error, FerrymanError) else ""
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}{message} at {place or 'no frame'}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)
