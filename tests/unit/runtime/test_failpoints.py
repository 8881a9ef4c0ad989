from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime import failpoints
from runtime.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, OTHER = "capture.saved", "apply.committed"


def configure(text: str, env: str = "test") -> None:
    failpoints.configure({"FERRYMAN_ENV": env, "FERRYMAN_FAILPOINTS": text})


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    failpoints.configure({})


def fails(times: int) -> list[bool]:
    outcomes = []
    for _ in range(times):
        try:
            failpoints.hit(NAME)
            outcomes.append(False)
        except failpoints.FailpointError:
            outcomes.append(True)
    return outcomes


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("error", [True, True, True, True]),
        ("error@3", [False, False, True, False]),
        ("error@3+", [False, False, True, True]),
        ("error@1", [True, False, False, False]),
    ],
)
def test_a_failpoint_acts_at_the_hits_that_its_rule_names(rule: str, expected: list[bool]) -> None:
    configure(f"{NAME}={rule}")

    assert fails(4) == expected


def test_other_failpoints_do_nothing() -> None:
    configure(f"{OTHER}=error")

    assert fails(1) == [False]


def test_outside_tests_failpoints_are_ignored_with_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    configure(f"{NAME}=kill", env="production")

    assert fails(2) == [False, False]
    assert capsys.readouterr().out.count("failpoints.ignored") == 1


def test_without_the_variable_nothing_happens() -> None:
    failpoints.configure({})

    failpoints.hit(NAME)
    failpoints.hit("no such name")


def test_in_tests_an_unknown_name_in_the_code_is_an_assertion() -> None:
    configure("")

    with pytest.raises(AssertionError, match=r"no\.such"):
        failpoints.hit("no.such")


@pytest.mark.parametrize(
    "piece",
    ["nope=kill", NAME, f"{NAME}=explode", f"{NAME}=kill@0", f"{NAME}=kill@x", f"{NAME}=sleep", f"{NAME}=kill@3-"],
)
def test_a_piece_that_cannot_be_read_is_named(piece: str) -> None:
    with pytest.raises(BadInput) as caught:
        configure(f"{OTHER}=error, {piece}")

    assert piece.partition("=")[0] in caught.value.what
    assert caught.value.where == "FERRYMAN_FAILPOINTS"


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("stop", signal.SIGSTOP)])
def test_kill_and_stop_send_this_process_the_signal(
    action: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, sig: sent.append((pid, sig)))
    configure(f"{NAME}={action}")

    failpoints.hit(NAME)

    assert sent == [(os.getpid(), number)]


def test_sleep_pauses_for_the_milliseconds_given(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(failpoints.time, "sleep", slept.append)
    configure(f"{NAME}=sleep:250")

    failpoints.hit(NAME)

    assert slept == [0.25]


def test_every_failpoint_stands_somewhere_and_every_place_has_a_listed_name() -> None:
    root = Path(__file__).parents[3]
    code = "".join(path.read_text() for folder in ("capture", "apply") for path in (root / folder).rglob("*.py"))

    assert set(re.findall(r'\bhit\("([^"]+)"\)', code)) == set(failpoints.NAMES)


def test_a_killed_process_dies_at_its_failpoint_with_the_environment_alone() -> None:
    code = f"from runtime.failpoints import hit\nfor i in range(9):\n    print(i, flush=True)\n    hit({NAME!r})"
    env = os.environ | {"FERRYMAN_ENV": "test", "FERRYMAN_FAILPOINTS": f"{NAME}=kill@3"}

    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)

    assert done.returncode == -signal.SIGKILL
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["0", "1", "2"]
