"""What people see of the demo: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from operate.demo.watch import Picture

if TYPE_CHECKING:
    from rich.console import RenderableType

    from operate.demo.crashes import Crash

#: Between two lines of progress where there is no terminal, in seconds.
_LINE_EVERY_S: Final = 5.0
#: Lines that everything but the list of events takes.
_HEIGHT_OF_THE_REST: Final = 17
_PARTS: Final = ("source server", "capture", "Kafka broker", "apply", "target server")


class Display(ABC):
    """Is told what happens; every method may be called from any thread."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Begin to show."""

    @abstractmethod
    def close(self) -> None:
        """What is shown stays as it is."""

    @abstractmethod
    def act(self, title: str) -> None:
        """A new part of the story begins."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Something happened; ``text`` is rich markup."""

    def note(self, text: str) -> None:
        """Something happened, in plain text."""
        self.say(escape(text))

    @abstractmethod
    def scene(self, clock: str, title: str, rows: int) -> None:
        """A transaction was played at the source."""

    @abstractmethod
    def see(self, picture: Picture) -> None:
        """The pipeline looks like this now."""

    @abstractmethod
    def up(self, part: str) -> None:
        """A part runs."""

    def died(self, part: str, moment: str) -> None:
        """A part was killed."""
        self.say(f"[bold red]✗[/] kill -9 {part} [dim]({escape(moment)})[/]")

    def returned(self, crash: Crash) -> None:
        """A part that was killed works again."""
        times = f"after {crash.down_s:.1f} s down, at work {crash.back_s:.1f} s after its start"
        self.say(f"[bold green]✓[/] {crash.victim} is back {times} [dim]({crash.sign})[/]")

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started


class Lines(Display):
    """For logs and pipes: one line an event, and a line of progress every few seconds."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._next_line = 0.0

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to end."""

    def up(self, part: str) -> None:
        """No line: what is started is told by the acts."""

    def act(self, title: str) -> None:
        """A line of its own."""
        self._print(f"[bold]== {escape(title)}[/]")

    def say(self, text: str) -> None:
        """One line."""
        self._print(text)

    def scene(self, clock: str, title: str, rows: int) -> None:
        """One line."""
        self._print(f"{clock} {escape(title)} ({rows:,} rows)")

    def see(self, picture: Picture) -> None:
        """One line now and then, while tables are being copied."""
        if picture.loaded or not picture.messages or self.elapsed < self._next_line:
            return
        self._next_line = self.elapsed + _LINE_EVERY_S
        left = picture.seconds_left
        eta = f", {left:.0f} s left" if left else ""
        self._print(
            f"{picture.messages:,} messages in the topics; {picture.copied:,} of {picture.total:,} rows in the target "
            f"({picture.rate:,.0f} rows/s{eta})"
        )

    def _print(self, text: str) -> None:
        self.console.print(f"[dim]{self.elapsed:6.1f} s[/]  {text}", highlight=False, soft_wrap=True)


@dataclass(slots=True)
class _State:
    """What the picture is drawn from."""

    act: str = ""
    clock: str = "--:--"
    changes: int = 0
    picture: Picture = field(default_factory=Picture)
    parts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(_PARTS, "off"))
    events: list[tuple[float, str]] = field(default_factory=list)


class Screen(Display):
    """For a terminal: one picture that is drawn anew several times a second."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._state = _State()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8)

    def open(self) -> None:
        """Draw from now on."""
        self._live.start()

    def close(self) -> None:
        """Draw once more, and leave it there."""
        self._live.stop()

    def act(self, title: str) -> None:
        """The title of the picture, and an event."""
        self._state.act = title
        self.say(f"[bold]{escape(title)}[/]")

    def say(self, text: str) -> None:
        """One more event."""
        self._state.events.append((self.elapsed, text))

    def scene(self, clock: str, title: str, rows: int) -> None:
        """The clock moves."""
        self._state.clock = clock
        self._state.changes += rows
        self.say(f"[cyan]{clock}[/] {escape(title)} [dim]({rows:,} rows)[/]")

    def see(self, picture: Picture) -> None:
        """The figures change."""
        self._state.picture = picture

    def up(self, part: str) -> None:
        """Its box turns green."""
        self._state.parts[part] = "up"

    def died(self, part: str, moment: str) -> None:
        """Its box turns red."""
        self._state.parts[part] = "killed"
        super().died(part, moment)

    def returned(self, crash: Crash) -> None:
        """Its box turns green again."""
        self._state.parts[crash.victim] = "up"
        super().returned(crash)

    def _draw(self) -> RenderableType:
        state = self._state
        room = max(4, self.console.height - _HEIGHT_OF_THE_REST)
        parts = [_headline(state, self.elapsed), _pipeline(state)]
        if state.picture.rows:
            parts.append(Panel(_tables(state.picture), title="tables", border_style="dim", title_align="left"))
        parts.append(Panel(_events(state.events[-room:]), title="events", border_style="dim", title_align="left"))
        return Group(*parts)


# --- the parts of the picture ----------------------------------------------------------------------------------------


def _headline(state: _State, elapsed: float) -> RenderableType:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True, min_width=24)
    line.add_row(
        f"[bold]ferryman demo[/] · {escape(state.act)}", f"8 Feb 2013 [cyan]{state.clock}[/] · {elapsed:.0f} s"
    )
    return line


_LOOKS: Final = {"off": ("dim", "·"), "up": ("green", "●"), "killed": ("bold red", "✗")}


def _pipeline(state: _State) -> RenderableType:
    picture = state.picture
    figures = {
        "source server": f"{state.changes:,}\nchanges",
        "capture": f"{picture.publishing:,.0f}\nmessages/s",
        "Kafka broker": f"{picture.messages:,}\nmessages",
        "apply": f"{picture.rate:,.0f}\nevents/s",
        "target server": f"{picture.next_offset:,}\napplied",
    }
    row = Table.grid(expand=True)
    cells: list[RenderableType] = []
    for name in _PARTS:
        style, mark = _LOOKS[state.parts[name]]
        if cells:
            row.add_column(width=3, vertical="middle")
            cells.append(Text(" → ", style="dim"))
        row.add_column(ratio=1)
        short = name.replace(" server", "").replace(" broker", "")
        cells.append(Panel(Text(figures[name], justify="center"), title=f"{mark} {short}", border_style=style))
    row.add_row(*cells)
    return row


def _tables(picture: Picture) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    for name in ("table", "in the target", "rows", "messages", "insert", "update", "delete", "state"):
        table.add_column(name, justify="left" if name in ("table", "in the target", "state") else "right", no_wrap=True)
    table.columns[1].ratio = 1
    table.add_row(*(Text(c.header, style="dim") if isinstance(c.header, str) else "" for c in table.columns))
    for row in picture.rows.values():
        bar = ProgressBar(total=max(1, row.total), completed=min(row.copied, row.total))
        counts = (row.copied, row.messages, row.inserts, row.updates, row.deletes)
        state = row.apply if row.apply != "pending" else row.capture
        table.add_row(row.table.removeprefix("public."), bar, *(f"{n:,}" for n in counts), state)
    left = picture.seconds_left
    if not picture.loaded and picture.total:
        eta = f"{left:.0f} s left" if left is not None else ""
        table.add_row("[dim]all[/]", "", f"{picture.copied:,}", f"{picture.messages:,}", "", "", "", eta)
    return table


def _events(events: list[tuple[float, str]]) -> RenderableType:
    lines = Table.grid(padding=(0, 1))
    lines.add_column(justify="right", style="dim", no_wrap=True, min_width=5)
    lines.add_column(no_wrap=True, overflow="ellipsis")
    for at, text in events:
        lines.add_row(f"{at:.1f}", text)
    return lines


def choose(console: Console) -> Display:
    """Return the display that suits where ``console`` goes."""
    return Screen(console) if console.is_terminal else Lines(console)
