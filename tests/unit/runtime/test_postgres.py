from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from runtime.errors import BadInput, Refused, Unreachable
from runtime.postgres import address, session_conninfo, unreachable


@pytest.fixture(autouse=True)
def _no_libpq_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


def parts(conninfo: str, **more: bool) -> dict[str, str]:
    return {k: str(v) for k, v in conninfo_to_dict(session_conninfo(conninfo, application_name="test", **more)).items()}


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://u@db.example.com/d",
        "host=10.0.0.1",
        "postgresql://u@127.0.0.1,db.example.com/d",
        "postgresql://u@localhost.example.com/d",
        "host=localhost hostaddr=10.0.0.1",
        "service=elsewhere",
    ],
)
def test_off_loopback_the_certificate_is_verified(conninfo: str) -> None:
    assert parts(conninfo)["sslmode"] == "verify-full"
    assert parts(conninfo)["sslrootcert"] == "system"


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://u@127.0.0.1/d",
        "host=localhost",
        "host=::1",
        "host=/var/run/postgresql",
        "dbname=d",
        "host=127.0.0.9",
    ],
)
def test_loopback_and_sockets_leave_tls_to_libpq(conninfo: str) -> None:
    assert "sslmode" not in parts(conninfo)


def test_a_url_with_its_own_sslmode_keeps_it() -> None:
    assert parts("postgresql://u@db.example.com/d?sslmode=require")["sslmode"] == "require"
    assert "sslrootcert" not in parts("postgresql://u@db.example.com/d?sslmode=require")


def test_a_given_authority_is_the_one_that_is_trusted() -> None:
    found = parts("postgresql://u@db.example.com/d?sslrootcert=/ca.pem")

    assert (found["sslmode"], found["sslrootcert"]) == ("verify-full", "/ca.pem")


def test_the_host_of_the_environment_counts_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")

    assert parts("dbname=d")["sslmode"] == "verify-full"


def test_our_session_settings_come_after_the_url_s_own_and_so_win() -> None:
    options = parts("postgresql://u@127.0.0.1/d?options=-c%20TimeZone%3DAsia/Tokyo")["options"]

    assert options.startswith("-c TimeZone=Asia/Tokyo ")
    assert options.rindex("TimeZone=UTC") > options.index("Asia/Tokyo")
    for setting in ("DateStyle=ISO", "IntervalStyle=iso_8601", "search_path=pg_catalog", "row_security=off"):
        assert f"-c {setting}" in options


def test_the_url_s_own_timeouts_win_over_ours() -> None:
    assert parts("postgresql://u@127.0.0.1/d?connect_timeout=3")["connect_timeout"] == "3"
    assert parts("postgresql://u@127.0.0.1/d")["connect_timeout"] == "10"


def test_of_several_hosts_the_writable_one_is_taken() -> None:
    assert parts("postgresql://u@127.0.0.1:1,127.0.0.1:2/d")["target_session_attrs"] == "read-write"
    assert "target_session_attrs" not in parts("postgresql://u@127.0.0.1/d")


def test_a_replication_session_speaks_the_protocol_of_one_database() -> None:
    assert parts("postgresql://u@127.0.0.1/d", replication=True)["replication"] == "database"
    assert "replication" not in parts("postgresql://u@127.0.0.1/d")


def test_passwords_survive_and_are_not_shown_in_the_address() -> None:
    url = "postgresql://u:p%40ss@h1:1,h2:2/d"

    assert parts(url)["password"] == "p@ss"
    assert address(url) == "h1:1,h2:2"


def test_an_unreadable_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadInput) as caught:
        session_conninfo("host=h canary", application_name="test")

    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('FATAL:  password authentication failed for user "u"', Refused),
        ('FATAL:  database "d" does not exist', Refused),
        ("SSL error: certificate verify failed", Refused),
        ('FATAL:  no pg_hba.conf entry for host "h"', Refused),
        ("connection refused: Connection refused", Unreachable),
        ("connection timeout expired", Unreachable),
        ("FATAL:  the database system is starting up", Unreachable),
        ("something new", Unreachable),
    ],
)
def test_a_failed_connection_says_whether_a_person_must_act(message: str, kind: type[Unreachable]) -> None:
    error = unreachable("postgresql://u:canary@db:5433/d", message)

    assert type(error) is kind
    assert error.where == "db:5433"
    assert error.fix
    assert "canary" not in str(error)
