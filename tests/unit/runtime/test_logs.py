from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import structlog

from runtime import logs
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]):
    """What was logged, as documents; nothing may go to stdout."""

    def _lines() -> list[dict[str, Any]]:
        out, err = capsys.readouterr()
        assert out == ""
        return [json.loads(line) for line in err.splitlines()]

    return _lines


def test_a_log_line_is_one_json_document_with_a_utc_time(lines) -> None:
    logs.configure("json")

    structlog.get_logger().info("table_opened", table="public.a\nb", rows=3)

    (line,) = lines()
    assert {k: line[k] for k in ("event", "level", "table", "rows")} == {
        "event": "table_opened",
        "level": "info",
        "table": "public.a\nb",
        "rows": 3,
    }
    assert line["timestamp"].endswith("Z")


def test_the_standard_library_s_logs_take_the_same_way(lines) -> None:
    logs.configure("json")

    logging.getLogger("librdkafka").warning("broker %s is down", "b1")

    (line,) = lines()
    assert (line["event"], line["level"]) == ("broker b1 is down", "warning")


def test_what_is_below_the_level_is_not_logged(lines) -> None:
    logs.configure("json", "warning")

    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")

    assert lines() == []


def test_no_terminal_means_json(lines) -> None:
    logs.configure()

    structlog.get_logger().info("started")

    assert lines()[0]["event"] == "started"


def test_on_a_console_people_read_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console")

    structlog.get_logger().warning("table_blocked", table="public.t")

    err = capsys.readouterr().err
    assert "table_blocked" in err
    assert "table=public.t" in err
    assert not err.startswith("{")


@pytest.mark.parametrize("chosen", ["json", "console"])
def test_the_text_of_a_driver_s_error_never_reaches_the_log(chosen: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(chosen)
    try:
        try:
            raise psycopg.errors.UniqueViolation("Key (email)=(canary) already exists")
        except psycopg.Error as error:
            raise ValueError("canary") from error
    except ValueError:
        structlog.get_logger().exception("apply_failed")
        logging.getLogger("library").exception("failed")

    err = capsys.readouterr().err
    assert "canary" not in err
    assert err.count("UniqueViolation") == 2
    assert err.count("builtins.ValueError at test_the_text") == 2


def test_our_own_errors_are_logged_with_their_words(lines) -> None:
    logs.configure("json")
    try:
        raise Unreachable("connection refused", "db:5432")
    except Unreachable:
        structlog.get_logger().exception("capture_failed")

    assert "db:5432: connection refused" in lines()[0]["exception"]


def test_configuring_twice_does_not_double_the_lines(lines) -> None:
    logs.configure("json")
    logs.configure("json")

    structlog.get_logger().info("once")
    logging.getLogger("x").warning("once")

    assert [line["event"] for line in lines()] == ["once", "once"]
