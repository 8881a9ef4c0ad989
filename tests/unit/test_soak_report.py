"""What a soak takes for a fault of the daemons in what they wrote."""

from __future__ import annotations

from tests.soak.report import tracebacks

OURS = """{"event": "capture.started"}
Traceback (most recent call last):
  File "/app/capture/loop.py", line 7, in turn
    raise KeyError(name)
KeyError: 'orders'
{"event": "capture.stopped"}"""


def test_a_traceback_is_told_with_its_last_line() -> None:
    assert list(tracebacks(OURS.splitlines())) == ["KeyError: 'orders'"]


def test_a_traceback_at_the_very_end_is_told_though_its_last_line_is_missing() -> None:
    assert list(tracebacks(OURS.splitlines()[:3])) == [""]
