"""``ferryman status``: states and lag, from positions, topics and control tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from operate.daemon import PipelineFile  # noqa: TC001 - typer looks annotations up when it runs
from operate.observing import observe
from operate.output import emit, fault_document
from operate.status import document
from runtime import config
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from runtime.errors import Fault

_COLOURS = {
    "streaming": "green", "running": "green", "snapshotting": "cyan", "pending": "yellow", "paused": "yellow",
    "stopped": "yellow", "not_started": "yellow", "diverged": "red", "blocked": "red", "needs_resync": "red",
    "not_responding": "red",
}  # fmt: skip

#: Pause between two looks with ``--watch``, in seconds.
_REFRESH_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(status)


def status(
    pipeline: PipelineFile,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Show the state of every table, what was applied, and how far the target is behind.

    Works while the daemons are down. What cannot be found out is shown as a dash (JSON: null).

    Example: [bold]ferryman status shop.yaml --watch[/bold]
    """
    if watch and json:
        raise BadInput("--watch and --json do not go together", fix="call `ferryman status --json` again and again")
    loaded = config.load(pipeline, {"kafka", "source", "target"})
    if watch:
        with Live(console=Console(), auto_refresh=False, screen=False) as live:
            while True:
                facts, faults = observe(loaded)
                live.update(draw(document(facts), faults), refresh=True)
                time.sleep(_REFRESH_S)
    facts, faults = observe(loaded)
    shown = document(facts)
    answer = shown | {"unreachable": [fault_document(fault) for fault in faults]}
    emit(json, answer, lambda console: console.print(draw(shown, faults)))


def draw(shown: dict[str, Any], faults: Sequence[Fault]) -> RenderableType:
    """Return a status as people read it: the daemons, the tables, what is wrong and how to mend it."""
    capture, apply = shown["capture"], shown["apply"]
    daemons = Table.grid(padding=(0, 2))
    daemons.add_row("capture", _state(capture["state"]), _words(
        f"lag {_lag(capture['lag_seconds'])}", f"{_bytes(capture['lag_bytes'])} to read",
        f"{_bytes(capture['retained_bytes'])} retained", f"slot {capture['slot_status'] or '-'}",
        _one_by_one(capture["reference_rows"], capture["rows"]),
        f"http {capture['address']}" if capture["address"] else "",
    ))  # fmt: skip
    daemons.add_row("apply", _state(apply["state"]), _words(
        f"lag {_lag(apply['lag_seconds'])}", f"{_count(apply['lag_events'])} events to apply",
        _one_by_one(apply["reference_rows"], None),
    ))  # fmt: skip
    parts: list[RenderableType] = [Text(shown["pipeline"], style="bold"), daemons, Text(), _tables(shown["tables"])]
    parts += [_trouble(table["table"], table["reason"], table["fix"]) for table in shown["tables"] if table["reason"]]
    parts += [_trouble(fault.where, fault.what, fault.fix) for fault in faults]
    return Group(*parts)


def _tables(tables: Sequence[dict[str, Any]]) -> Table:
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column("table", overflow="fold", min_width=16)
    drawn.add_column("state", no_wrap=True)
    for name in ("copied", "ins", "upd", "del", "rej", "lag"):
        drawn.add_column(name, justify="right")
    for table in tables:
        counts = (_count(table[key]) for key in ("inserts", "updates", "deletes", "rejected"))
        name, state = escape(table["table"]), _state(table["state"])
        drawn.add_row(name, state, _copied(table), *counts, _lag(table["lag_seconds"]))
    return drawn


def _copied(table: dict[str, Any]) -> str:
    """Return the rows of the snapshot: of how many, and how long it takes, while it runs."""
    rows, total, eta = table["snapshot_rows"], table["snapshot_total"], table["eta_seconds"]
    if table["state"] != "snapshotting" or not total:
        return _count(rows)
    share = f"{min(100, 100 * (rows or 0) // total)} % of {total:,}"
    return share + (f"\n{_lag(eta)} left" if eta is not None else "")


def _words(*parts: str) -> Text:
    return Text(" · ".join(part for part in parts if part), style="dim")


def _one_by_one(rows: int | None, of: int | None) -> str:
    """Return how many rows did not go by column, where there were any."""
    return f"{rows:,}{f' of {of:,}' if of else ''} rows one by one" if rows else ""


def _trouble(where: str, what: str, fix: str | None) -> Text:
    text = Text.assemble(("✗ ", "red"), (f"{where}: ", "bold"), what)
    return text.append(f"\n  fix: {fix}", "dim") if fix else text


def _state(state: str | None) -> Text:
    return Text((state or "-").replace("_", " "), style=_COLOURS.get(state or "", ""))


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _lag(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
