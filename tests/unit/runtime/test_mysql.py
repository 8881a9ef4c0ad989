"""MySQL's URLs, TLS rule and errors."""

from __future__ import annotations

import ssl

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import mysql, mysql_url
from runtime.errors import BadInput, Refused, Unreachable

names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(user=names, password=names, database=names)
def test_a_url_that_was_made_is_read_as_it_was_meant(user: str, password: str, database: str) -> None:
    found = mysql_url.parse(
        mysql_url.make(
            host="::1", port=3307, user=user, password=password, database=database, query="ssl-mode=disabled"
        )
    )

    assert (found.host, found.port, found.user, found.database) == ("::1", 3307, user, database)
    assert found.password == (password if user or password else "")
    assert found.ssl_mode == "DISABLED"


@pytest.mark.parametrize("url", ["mysql://u@db.example.com/", "mariadb://u@10.0.0.1:3307/d", "mysql://localhost.x/"])
def test_off_loopback_the_certificate_is_verified_with_the_host_s_name(url: str) -> None:
    context = mysql.connection_settings(url, program_name="test")["ssl"]

    assert mysql_url.parse(url).ssl_mode == "VERIFY_IDENTITY"
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("url", ["mysql://u@127.0.0.1/", "mysql://localhost", "mysql://[::1]:1/d"])
def test_on_loopback_tls_is_used_where_the_server_can(url: str) -> None:
    settings = mysql.connection_settings(url, program_name="test")

    assert mysql_url.parse(url).ssl_mode == "PREFERRED"
    assert "ssl" not in settings
    assert "ssl_disabled" not in settings


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("REQUIRED", (ssl.CERT_NONE, False)), ("verify_ca", (ssl.CERT_REQUIRED, False))],
)
def test_a_url_with_its_own_ssl_mode_keeps_it(mode: str, expected: tuple[ssl.VerifyMode, bool]) -> None:
    context = mysql.connection_settings(f"mysql://u@db.example.com/?ssl-mode={mode}", program_name="test")["ssl"]

    assert (context.verify_mode, context.check_hostname) == expected


def test_a_choice_laid_over_a_url_does_not_change_the_url_s_own() -> None:
    own = mysql_url.override("mysql://u:old@h/d?ssl-mode=VERIFY_CA", password="p@s s", ssl_mode="PREFERRED")
    none = mysql_url.override("mysql://u:old@h/d", ssl_mode="PREFERRED")

    assert (mysql_url.parse(own).ssl_mode, mysql_url.parse(own).password) == ("VERIFY_CA", "p@s s")
    assert (mysql_url.parse(none).ssl_mode, mysql_url.parse(none).password) == ("PREFERRED", "old")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary@h/d",
        "mysql://u:canary@h:port/d",
        "mysql://",
        "canary",
        "mysql://[canary/",
        "mysql://h/?ssl-mode=canary",
        "mysql://h/?sslmode=verify-full&password=canary",
        "mysql://h/?connect-timeout=canary",
        "mysql://h/?ssl-ca=/canary.pem",
    ],
)
def test_an_unreadable_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        mysql.connection_settings(url, program_name="test")

    assert "canary" not in str(caught.value)
    assert caught.value.fix


def test_the_session_s_settings_are_the_same_everywhere() -> None:
    settings = mysql.connection_settings("mysql://u@127.0.0.1/", program_name="test")

    assert settings["charset"] == "utf8mb4"
    assert "time_zone='+00:00'" in settings["init_command"]
    assert "sql_mode='ALLOW_INVALID_DATES'" in settings["init_command"]


def test_passwords_outside_latin_1_reach_the_server_as_utf_8() -> None:
    url = mysql_url.make(host="127.0.0.1", user="u", password="päss→")

    assert mysql.connection_settings(url, program_name="test")["password"] == "päss→".encode()


def test_names_are_quoted_so_that_they_end_nowhere_else() -> None:
    assert mysql.quote("shop", "a`; DROP TABLE b") == "`shop`.`a``; DROP TABLE b`"
    with pytest.raises(BadInput):
        mysql.quote("a\0b")


@pytest.mark.parametrize(
    "error",
    [
        pymysql.err.IntegrityError(1062, "Duplicate entry 'canary' for key 'PRIMARY'"),
        pymysql.err.DataError(1366, "Incorrect integer value: 'canary' for column 'a'"),
        pymysql.err.ProgrammingError(1064, "You have an error near 'canary'"),
        ValueError("canary"),
    ],
)
def test_errors_that_may_quote_a_row_are_described_by_their_number(error: Exception) -> None:
    said = mysql.describe(error)

    assert "canary" not in said
    assert str(error.args[0]) in said or "ValueError" in said
    assert not mysql.transient(error)


@pytest.mark.parametrize("number", [1040, 1053, 1158, 1205, 1213, 1927, 2003, 2006, 2013])
def test_a_busy_server_and_a_broken_connection_are_worth_another_try(number: int) -> None:
    assert mysql.transient(pymysql.err.OperationalError(number, "words"))


@pytest.mark.parametrize(
    ("number", "words", "kind"),
    [
        (1045, "Access denied for user 'u'@'h' (using password: YES)", Refused),
        (1049, "Unknown database 'd'", Refused),
        (2003, "Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)", Unreachable),
        (2003, "... certificate verify failed: Hostname mismatch ...", Refused),
        (1040, "Too many connections", Unreachable),
        (2013, "something new", Unreachable),
    ],
)
def test_a_failed_connection_says_whether_a_person_must_act(number: int, words: str, kind: type[Unreachable]) -> None:
    error = mysql.unreachable("mysql://u:canary@db:3307/d", pymysql.err.OperationalError(number, words))

    assert type(error) is kind
    assert error.where == "db:3307"
    assert error.fix
    assert "canary" not in str(error)


def test_a_connection_that_the_driver_has_closed_is_one_that_broke() -> None:
    """PyMySQL has the number 0 for whatever is asked of it after the connection was lost."""
    assert mysql.transient(pymysql.err.InterfaceError(0, ""))
