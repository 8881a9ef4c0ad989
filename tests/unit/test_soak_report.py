"""What a soak takes for a fault of the daemons in what they wrote."""

from __future__ import annotations

from tests.soak.report import tracebacks

OURS = """{"event": "capture.started"}
Traceback (most recent call last):
  File "/app/capture/loop.py", line 7, in turn
    raise KeyError(name)
KeyError: 'orders'
{"event": "capture.stopped"}"""

#: Of a chunk worker that Python was still starting when its daemon was killed.
UNBORN = """Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/usr/lib/python3.11/multiprocessing/spawn.py", line 130, in spawn_main
    preparation_data = reduction.pickle.load(from_parent)
EOFError: Ran out of input"""


def test_a_traceback_is_told_with_its_last_line() -> None:
    assert list(tracebacks(OURS.splitlines())) == ["KeyError: 'orders'"]


def test_a_traceback_at_the_very_end_is_told_though_its_last_line_is_missing() -> None:
    assert list(tracebacks(OURS.splitlines()[:3])) == [""]


def test_a_worker_whose_daemon_was_killed_before_it_began_is_no_fault() -> None:
    assert list(tracebacks(UNBORN.splitlines())) == []


def test_the_same_error_in_a_worker_that_had_begun_is_a_fault() -> None:
    assert list(tracebacks(UNBORN.replace("spawn_main", "_serve").splitlines())) == ["EOFError: Ran out of input"]
