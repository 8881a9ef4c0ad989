"""TLS on every link, with an authority of our own; certificates that prove nothing are refused, and it is said why."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

from operate.local.postgresql import PostgreSQL
from operate.local.stack import Stack
from runtime import postgres
from runtime.errors import Refused
from tests.support.authority import Authority, SecureKafka
from tests.support.daemons_pipeline import Pipeline, closing, until
from tests.support.databases import fresh_database
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.slow]

#: The programs of the wheel know no TLS, those from Maven do.
MAJOR = 18
PLAIN = "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name LIKE 'ferryman%' AND"


class Secure(NamedTuple):
    """Servers with certificates of one authority, and another authority that issued none of them."""

    authority: Authority
    stranger: Authority
    kafka: SecureKafka
    postgresql: PostgreSQL

    def url(self, database_url: str, authority: Authority | None = None, host: str = "127.0.0.1") -> str:
        """Return a database's URL that verifies the server's name and authority."""
        trusted = (authority or self.authority).certificate
        return f"{database_url.replace('127.0.0.1', host)}?sslmode=verify-full&sslrootcert={trusted}"


@pytest.fixture(scope="module")
def secure() -> Iterator[Secure]:
    session = SessionStack()
    try:
        folder = session.folder / "stack"
        Stack(folder, ()).up()
        authority = Authority(session.folder / "ours", "ours")
        certificate, key = authority.issue("postgresql")
        settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
        postgresql = PostgreSQL(folder / "postgresql", major=MAJOR, settings=settings)
        kafka = SecureKafka(folder / "kafka", authority)
        for path in (session.folder / "ours", certificate):
            path.chmod(0o755)
        postgresql.start()
        kafka.start()
        yield Secure(authority, Authority(session.folder / "stranger", "stranger"), kafka, postgresql)
    finally:
        session.close()


def test_a_pipeline_runs_with_every_link_encrypted_and_verified(secure: Secure, tmp_path: Path) -> None:
    server = secure.postgresql.address
    with fresh_database(server, "source") as source, fresh_database(server, "target") as target:
        with psycopg.connect(source) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 500)")
        with closing(pipeline(secure, tmp_path, source, target)) as run:
            run.start()
            run.caught_up()
            with psycopg.connect(source, autocommit=True) as connection:
                connection.execute("UPDATE t SET id = -id")
                assert connection.execute(f"{PLAIN} NOT ssl".encode()).fetchone() == (0,)
                assert connection.execute(f"{PLAIN} ssl".encode()).fetchone() != (0,)
            run.caught_up()
            run.assert_equal()
            run.stop()


def pipeline(secure: Secure, folder: Path, source: str, target: str, **properties: str) -> Pipeline:
    kafka: dict[str, Any] = {"properties": secure.kafka.properties | properties}
    name = f"secure_{secrets.token_hex(4)}"
    return Pipeline(folder, name, secure.kafka.address, secure.url(source), secure.url(target), kafka=kafka)


def test_a_foreign_authority_is_refused(secure: Secure) -> None:
    assert_refused(secure.url(secure.postgresql.address, secure.stranger), "certificate verify failed", "sslrootcert")


def test_a_certificate_for_another_name_is_refused(secure: Secure) -> None:
    url = secure.url(secure.postgresql.address, host="localhost")

    assert_refused(url, "does not match host name", "name that the server's certificate carries")


def test_a_certificate_that_has_expired_is_refused(secure: Secure) -> None:
    with psycopg.connect(secure.postgresql.address, autocommit=True) as admin:
        try:
            secure.authority.issue("postgresql", lasts=timedelta(days=-1))
            admin.execute("SELECT pg_reload_conf()")
            url = secure.url(secure.postgresql.address)
            until(lambda: refusal(url) is not None, "the new certificate is used")
            assert_refused(url, "certificate verify failed", "renew it if it expired")
        finally:
            secure.authority.issue("postgresql")
            admin.execute("SELECT pg_reload_conf()")
            until(lambda: refusal(url) is None, "the good certificate is used")


def assert_refused(url: str, *words: str) -> None:
    error = refusal(url)
    assert error is not None
    assert [word for word in words if word not in f"{error} {error.fix}"] == []


def refusal(url: str) -> Refused | None:
    try:
        postgres.connect(url, application_name="test").close()
    except Refused as error:
        return error
    return None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ssl.ca.location": "stranger"}, "certificate verify failed"),
        ({"sasl.password": "wrong"}, "Authentication failed"),
    ],
)
def test_a_broker_that_cannot_be_trusted_or_does_not_trust_us_is_named(
    secure: Secure, tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    server = secure.postgresql.address
    properties = {
        name: str(secure.stranger.certificate) if value == "stranger" else value for name, value in wrong.items()
    }
    with closing(pipeline(secure, tmp_path, server, server, **properties)) as run:
        code, document = run.command("check")

    assert code != 0
    assert words in str(document)
