"""What people see: lines for logs, one picture for terminals, whatever its size and whatever the words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from operate.demo.crashes import Crash
from operate.demo.display import Display, Lines, Screen, choose
from operate.demo.watch import Picture, Row

ROWS = {
    "public.planes": Row("public.planes", 3322, 3325, 3322, 0, 10, 0, "streaming", "streaming"),
    "public.flights": Row("public.flights", 335_846, 120_000, 100_000, 0, 0, 0, "snapshotting", "loading"),
}
PICTURE = Picture(at=1.0, rows=ROWS, run=3, next_offset=103_325, rate=10_000.0, kafka=True, target=True)


def _told(display: Display) -> None:
    with display:
        display.act("copying [five] tables")
        display.up("capture")
        display.scene("05:00", "departures [of the hour]", 341)
        display.died("capture", "in the [middle]")
        display.returned(Crash("capture", "in the middle", 0.5, 1.2, "resumed"))
        display.see(PICTURE)


def _console(*, terminal: bool, width: int = 100, height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, color_system=None, width=width, height=height)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_gets_a_picture_and_a_pipe_gets_lines() -> None:
    assert isinstance(choose(_console(terminal=True)), Screen)
    assert isinstance(choose(_console(terminal=False)), Lines)


def test_lines_tell_the_act_the_change_the_death_and_the_return() -> None:
    console = _console(terminal=False)

    _told(Lines(console))

    told = _text(console)
    assert "copying [five] tables" in told
    assert "05:00 departures [of the hour] (341 rows)" in told
    assert "kill -9 capture (in the [middle])" in told
    assert "capture is back after 0.5 s down, at work 1.2 s after its start (resumed)" in told
    assert "103,322 of 339,168 rows in the target (10,000 rows/s, 24 s left)" in told


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (200, 60)])
def test_the_picture_fits_any_terminal(width: int, height: int) -> None:
    console = _console(terminal=True, width=width, height=height)

    _told(Screen(console))

    assert max(line.cell_len for line in Text.from_ansi(_text(console)).split()) <= width


def test_the_picture_shows_each_table_and_what_is_left() -> None:
    console = _console(terminal=True, width=120, height=40)

    _told(Screen(console))

    shown = _text(console)
    assert all(word in shown for word in ("planes", "3,322", "flights", "loading", "24 s left", "✗ kill -9 capture"))


def test_the_time_left_is_unknown_while_nothing_moves() -> None:
    assert Picture(rows=ROWS).seconds_left is None


def test_the_copy_is_complete_when_every_table_is_loaded_in_the_target() -> None:
    assert not PICTURE.loaded
    assert not Picture().loaded
    assert Picture(rows={"public.planes": ROWS["public.planes"]}).loaded
