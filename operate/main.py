"""``ferryman``: the command line. Finds the command, runs it, and turns every error into words and an exit code.

Exit codes: 0 done / yes; 1 the answer is no; 2 bad input or configuration; 3 a system could not be reached or refused
us; 4 internal error; 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Final

import typer

from operate.explain import explain
from operate.output import fail
from runtime import logs
from runtime.errors import BadInput
from runtime.signals import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Commands in the order of the help; each is a module of that name in operate/commands with ``register(app)``.
COMMANDS: Final = (
    *("init", "check", "capture", "apply"),
    *("status", "wait", "validate", "resync", "teardown", "events"),
    *("local", "demo", "failpoints"),
)

#: Commands whose libraries come with an extra.
_EXTRAS: Final = {"local": "local", "demo": "local"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the entry point of the ``ferryman`` script."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = build(given)(given, prog_name="ferryman", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        return 0
    except Exception as error:  # noqa: BLE001 - the top of the program: everything ends as words and a code
        return fail("--json" in given, explain(error))
    return int(code or 0)


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the application with the command that ``arguments`` name, or with all of them for the help."""
    app = typer.Typer(
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Carry databases into Aurora PostgreSQL through Kafka, and keep them in step.",
        epilog="Start with [bold]ferryman init[/bold], then [bold]ferryman check[/bold].",
    )
    app.callback()(_options)
    for name in [arguments[0]] if arguments and arguments[0] in COMMANDS else COMMANDS:
        _register(app, name)
    return app


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        print(f"ferryman {_version()}")
        raise typer.Exit


def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    logs.configure(level=os.environ.get("FERRYMAN_LOG_LEVEL", "error"))


def _version() -> str:
    try:
        return metadata.version("ferryman")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _register(app: typer.Typer, name: str) -> None:
    """Add a command; one whose libraries are not installed says so when it is called, and spoils no other."""
    try:
        register: Callable[[typer.Typer], None] = importlib.import_module(f"operate.commands.{name}").register
    except ImportError as error:
        missing = error.name or "a library"
        _register_absent(app, name, missing)
    else:
        register(app)


def _register_absent(app: typer.Typer, name: str, missing: str) -> None:
    fix = f"pip install 'ferryman[{_EXTRAS[name]}]'" if name in _EXTRAS else "install ferryman anew"

    @app.command(name, context_settings={"ignore_unknown_options": True}, hidden=True)
    def absent(_arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        raise BadInput(f"`ferryman {name}` needs {missing}, which is not installed", fix=fix)


if __name__ == "__main__":
    sys.exit(main())
