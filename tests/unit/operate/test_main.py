from __future__ import annotations

import importlib
import json
import logging
import os
import re
from typing import TYPE_CHECKING, Annotated

import psycopg
import pytest
import structlog
import typer
from confluent_kafka import KafkaError, KafkaException

from operate import main as cli
from runtime.errors import BadInput, ConfigError, Fault, FerrymanError, Refused, Unreachable
from schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def fail_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let the command ``failpoints`` raise."""

    def _fail_with(error: BaseException) -> None:
        def body(*, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
            raise error

        monkeypatch.setattr(cli, "_register", lambda app, name: app.command("failpoints")(body))

    return _fail_with


CODES = [
    (BadInput("no such table", "public.x", "spell it so"), 2),
    (ConfigError([Fault("pipeline", "is missing", "add it"), Fault("kafka", "is missing", "add it")]), 2),
    (Unreachable("connection refused", "db:5432", "start it"), 3),
    (Refused("password authentication failed", "db:5432", "check it"), 3),
    (FerrymanError("impossible"), 4),
    (ContractError("unreadable"), 4),
    (psycopg.OperationalError("canary"), 3),
    (psycopg.errors.InsufficientPrivilege("canary"), 3),
    (psycopg.errors.UniqueViolation("canary"), 4),
    (KafkaException(KafkaError(KafkaError._TRANSPORT, "down")), 3),
    (ValueError("canary"), 4),
    (typer.BadParameter("not a number"), 2),
    (typer.Exit(1), 1),
    (typer.Abort(), 130),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_every_error_has_its_exit_code(error: BaseException, code: int, fail_with) -> None:
    fail_with(error)

    assert cli.main(["failpoints"]) == code


@pytest.mark.parametrize(("error", "code"), [c for c in CODES if c[1] in (2, 3, 4)], ids=lambda v: type(v).__name__)
def test_with_json_an_error_is_one_document_on_stdout(
    error: BaseException, code: int, fail_with, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(error)
    cli.main(["failpoints", "--json"])

    document = json.loads(capsys.readouterr().out)
    assert set(document["error"]) == {"what", "where", "fix"}
    assert document["error"]["what"]
    assert len(document["faults"]) == (2 if isinstance(error, ConfigError) else 1)


@pytest.mark.parametrize("error", [e for e, _ in CODES], ids=lambda value: type(value).__name__)
def test_without_json_errors_are_words_on_stderr_and_never_hold_values(
    error: BaseException, fail_with, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(error)
    cli.main(["failpoints"])

    out, err = capsys.readouterr()
    assert out == ""
    assert "canary" not in err
    assert "Traceback" not in err


def test_the_traceback_of_a_bug_is_shown_on_request(
    fail_with, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FERRYMAN_DEBUG", "1")
    fail_with(ValueError("details"))
    cli.main(["failpoints"])

    assert "ValueError: details" in capsys.readouterr().err


def test_an_error_says_where_what_and_what_to_do(fail_with, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(Unreachable("connection refused [now]", "db:5432", "start it"))
    cli.main(["failpoints"])

    assert capsys.readouterr().err == "✗ db:5432: connection refused [now]\n  fix: start it\n"


@pytest.mark.parametrize(
    "arguments", [["failpoints", "--nope"], ["nope"], ["capture"], ["capture", "p", "--log-level", "x"]]
)
def test_wrong_usage_is_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith("✗ ")


def test_an_unknown_command_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nope", "--json"]) == 2
    assert "nope" in json.loads(capsys.readouterr().out)["error"]["what"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0

    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there_and_its_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module(f"operate.commands.{name}")

    assert cli.main([name, *(["up"] if name == "local" else []), "--help"]) == 0
    assert "Example" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"ferryman \S.*\n", capsys.readouterr().out)


def test_a_command_whose_library_is_missing_says_so_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'filelock'", name="filelock")

    monkeypatch.setattr(cli.importlib, "import_module", absent)

    assert cli.main(["local", "up", "--dir", "x", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "filelock" in error["what"]
    assert error["fix"] == "pip install 'ferryman[local]'"


def test_failpoints_are_listed_as_one_json_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["failpoints", "--json"]) == 0
    assert "capture.published" in json.loads(capsys.readouterr().out)


def test_failpoints_are_listed_one_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["failpoints"]) == 0
    assert "apply.before_commit" in [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_a_daemon_with_a_faulty_file_ends_with_2_and_logs_each_fault(
    tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("pipeline: Shop\ntables: []\n")

    assert cli.main(["apply", str(path), "--log-format", "json"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert {"pipeline", "kafka", "target"} <= {json.loads(line)["where"] for line in err.splitlines()}


def test_a_reader_that_has_seen_enough_is_no_error(fail_with, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(BrokenPipeError())
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr("sys.stdout", type("Out", (), {"fileno": lambda self: 1})())

    assert cli.main(["failpoints"]) == 0


def test_an_internal_error_of_a_daemon_is_logged_with_its_place_and_without_its_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("canary")

    monkeypatch.setattr("runtime.config.load", broken)

    assert cli.main(["capture", str(tmp_path / "p.yaml"), "--log-format", "json"]) == 4

    err = capsys.readouterr().err
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["daemon.failed", "daemon.ended"]
    assert "broken (" in err
    assert "canary" not in err
