from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from runtime import http
from runtime.errors import BadInput

STUCK_S = 120.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> http.Health:
    return http.Health("capture", STUCK_S, clock)


def get(address: str, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(address, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.fixture
def ask(health: http.Health):
    address = http.serve("127.0.0.1:0", health)

    def _ask(path: str) -> tuple[int, Any]:
        status, body = get(address, path)
        return status, json.loads(body)

    _ask.address = address  # type: ignore[attr-defined] # the raw way, for what is no JSON
    return _ask


def test_a_daemon_that_starts_is_alive_but_not_ready(ask) -> None:
    assert ask("/healthz")[0] == 200
    assert ask("/readyz")[0] == 503


def test_a_turn_of_the_loop_makes_it_ready(ask, health: http.Health) -> None:
    health.beat()

    assert ask("/readyz") == (200, {"service": "capture", "alive": True, "ready": True, "idle_seconds": 0.0})


def test_waiting_for_a_system_is_alive_and_not_ready(ask, health: http.Health) -> None:
    health.beat()
    health.retrying()

    assert ask("/healthz")[0] == 200
    assert ask("/readyz")[0] == 503


def test_a_loop_that_stands_still_is_neither(ask, health: http.Health, clock: Clock) -> None:
    health.beat()
    clock.now += STUCK_S

    assert ask("/healthz")[0] == 503
    assert ask("/readyz")[0] == 503


def test_metrics_are_prometheus_text(ask) -> None:
    status, body = get(ask.address, "/metrics")

    assert status == 200
    assert b"# HELP ferryman_capture_lag_seconds " in body
    assert b"ferryman_apply_lag_events" in body


def test_other_paths_are_not_found(ask) -> None:
    assert get(ask.address, "/config")[0] == 404


def test_the_address_in_use_is_returned(ask) -> None:
    host, port = http.parse_address(ask.address)

    assert host == "127.0.0.1"
    assert port > 0


def test_an_address_that_is_taken_is_bad_input(ask, health: http.Health) -> None:
    with pytest.raises(BadInput) as caught:
        http.serve(ask.address, health)

    assert "cannot listen" in caught.value.what


@pytest.mark.parametrize(
    ("text", "expected"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:9", ("::1", 9)), (":9464", ("127.0.0.1", 9464))]
)
def test_addresses_that_are_good(text: str, expected: tuple[str, int]) -> None:
    assert http.parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "9464", "host:", "host:x", "host:70000", "host:-1"])
def test_addresses_that_are_not(text: str) -> None:
    with pytest.raises(BadInput):
        http.parse_address(text)
