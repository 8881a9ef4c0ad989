"""``ferryman validate``: are the tables the same on both sides?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from operate.daemon import PipelineFile  # noqa: TC001 - typer looks annotations up when it runs
from operate.output import emit
from operate.validate.pipeline import Report, equal
from operate.validate.pipeline import validate as compare
from runtime import config, selection
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COLOURS = {"equal": "green", "different": "red", "incompatible": "red", "error": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Watch and steer")(validate)


def validate(
    pipeline: PipelineFile,
    tables: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Compare these alone (can be given more than once): public.orders, public.*"
        ),
    ] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make the target equal where it differs, row by row.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Compare all rows of source and target, while changes flow. Exits 0 when they are equal, 1 when not.

    Both servers hash their own rows; rows travel nowhere (MySQL's and MariaDB's are hashed at the target). What
    differs is looked at again once the changes that were on their way have arrived, so that only real differences
    count, exactly to the row. With --repair these rows are written, deleted or replaced in the target while apply
    waits, and the table is compared again.

    Example: [bold]ferryman validate shop.yaml --tables 'public.order*'[/bold]
    """
    wanted = patterns(tables or ["*.*"])
    loaded = config.load(pipeline, {"kafka", "source", "target"})
    with _Meter() as meter:
        reports = compare(loaded, wanted, meter, repair=repair)
    document = {"equal": equal(reports), "tables": [describe(report) for report in reports]}
    emit(json, document, lambda console: _draw(console, reports))
    raise typer.Exit(0 if equal(reports) else 1)


def patterns(texts: Sequence[str]) -> Callable[[str, str], bool]:
    """Return whether a (namespace, name) is meant by any of the patterns; raises BadInput for one that is none."""
    try:
        parsed = [selection.parse(text) for text in texts]
    except ValueError as error:
        raise BadInput(str(error), "--tables", selection.SPELLING) from None
    return lambda namespace, name: any(pattern.matches(namespace, name) for pattern in parsed)


def describe(report: Report) -> dict[str, Any]:
    """Return a report as it stands in JSON; figures of a table that was not compared are null."""
    tally = report.tally
    return {
        "table": report.table,
        "state": report.state,
        "source_rows": tally.rows if tally else None,
        "target_rows": tally.target_rows if tally else None,
        "missing": tally.missing if tally else None,
        "extra": tally.extra if tally else None,
        "different": tally.different if tally else None,
        "unsettled": tally.unsettled if tally else None,
        "repaired": report.repaired,
        "reason": report.reason,
        "fix": report.fix,
    }


class _Meter:
    """Rows, rows/s and time left of the table at hand, on a terminal's stderr; nothing elsewhere."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} rows"),
            TextColumn("{task.fields[speed]}"), TimeElapsedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, table: str, rows: int) -> None:
        self._task = self._bars.add_task(escape(table), total=rows if rows >= 0 else None, speed="")

    def advance(self, rows: int) -> None:
        if self._task is None:
            return
        self._bars.advance(self._task, rows)
        speed = next(task.speed for task in self._bars.tasks if task.id == self._task)
        self._bars.update(self._task, speed=f"{speed:,.0f} rows/s" if speed else "")

    def end(self, _report: Report) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def _draw(console: Console, reports: Sequence[Report]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("table", "state", "source rows", "target rows", "missing", "extra", "different"):
        table.add_column(name, justify="left" if name in ("table", "state") else "right", no_wrap=name == "state")
    for report in reports:
        colour = _COLOURS.get(report.state, "yellow")
        shown = describe(report)
        figures = [shown[key] for key in ("source_rows", "target_rows", "missing", "extra", "different")]
        table.add_row(
            escape(report.table),
            f"[{colour}]{report.state}[/{colour}]",
            *("" if f is None else f"{f:,}" for f in figures),
        )
    console.print(table)
    for report in reports:
        if report.reason:
            console.print(f"{escape(report.table)}: {escape(report.reason)}", highlight=False, soft_wrap=True)
        if report.fix:
            console.print(f"  [dim]fix:[/dim] {escape(report.fix)}", highlight=False, soft_wrap=True)
