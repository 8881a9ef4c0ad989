"""``ferryman local``: real servers on this machine, to try things out and to test against."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from operate.local.stack import DEFAULT_FOLDER, DEFAULT_SERVICES, Stack
from operate.output import emit, note
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from rich.console import Console

#: Environment variables of the example pipeline file, and the servers that they point to.
EXPORTS = {
    "KAFKA": "kafka",
    "SOURCE_URL": "postgresql",
    "TARGET_URL": "target",
    "MARIADB_URL": "mariadb",
    "MYSQL_URL": "mysql",
}

Folder = Annotated[Path, typer.Option("--dir", help="The state folder: data, logs and ports of the servers.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Start and stop real servers on this machine, without Docker.")
    for command in (up, down, env):
        group.command()(command)
    app.add_typer(group, name="local", rich_help_panel="Testing")


def up(
    *,
    services: Annotated[
        str,
        typer.Option("--with", help="Servers to start: kafka, postgresql (two: source and target), mariadb, mysql."),
    ] = ",".join(DEFAULT_SERVICES),
    folder: Folder = Path(DEFAULT_FOLDER),
    json: Json = False,
) -> None:
    """Start the servers, unless they run, and return when every one answers.

    Example: [bold]ferryman local up && eval "$(ferryman local env)"[/bold]
    """
    names = [name.strip() for name in services.split(",") if name.strip()]
    addresses = Stack(folder, names, note).up().addresses
    emit(json, addresses, lambda console: _draw(console, addresses))


def down(
    *,
    folder: Folder = Path(DEFAULT_FOLDER),
    delete: Annotated[bool, typer.Option("--delete", help="Delete the servers' data, too.")] = False,
    json: Json = False,
) -> None:
    """Stop the servers; their data stays for the next `up`."""
    stack = Stack(folder)
    stopped = stack.down()
    if delete:
        stack.remove()
    said = f"stopped {', '.join(stopped)}" if stopped else "nothing was running"
    emit(json, {"dir": str(stack.folder), "stopped": stopped}, lambda console: console.print(said))


def env(*, folder: Folder = Path(DEFAULT_FOLDER)) -> None:
    """Print shell exports of KAFKA, SOURCE_URL and TARGET_URL, and of MARIADB_URL and MYSQL_URL if they run.

    Example: [bold]eval "$(ferryman local env)"[/bold]
    """
    addresses = Stack(folder).addresses
    exports = {name: address for name, server in EXPORTS.items() if (address := addresses[server])}
    if not exports:
        raise Unreachable("the local stack is not running", str(folder), f"ferryman local up --dir {folder}")
    for name, address in exports.items():
        print(f"export {name}={shlex.quote(address)}")


def _draw(console: Console, addresses: dict[str, str | None]) -> None:
    for name, address in addresses.items():
        if address:
            console.print(f"{name:<11} {address}", highlight=False, markup=False, soft_wrap=True)
