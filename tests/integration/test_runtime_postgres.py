"""Sessions, names and errors against a real PostgreSQL."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from runtime import postgres
from runtime.errors import Refused, Unreachable
from runtime.names import RESERVED
from runtime.postgres import Reaction

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

HOSTILE = [
    't"; DROP TABLE x; --',
    "t'",
    "%s",
    "{0}",
    "\\",
    "$1",
    "a\nb",
    "\u202e",
    "../x",
    "select",
    "é" * 31,
    "  ",
    "Ünï.c",
]


@pytest.fixture
def session(source_db: str) -> Iterator[psycopg.Connection]:
    with postgres.connect(source_db, application_name="test", autocommit=True) as connection:
        yield connection


def setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_settings_of_the_database_and_the_role_lose_against_ours(source_db: str, session: psycopg.Connection) -> None:
    name = postgres.quote(session.info.dbname)
    for line in (
        "TimeZone = 'Asia/Tokyo'",
        "DateStyle = 'German'",
        "IntervalStyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "extra_float_digits = -3",
        "search_path = 'public'",
        "statement_timeout = '1s'",
        "array_nulls = off",
        "quote_all_identifiers = on",
    ):
        session.execute(f"ALTER DATABASE {name} SET {line}".encode())

    with postgres.connect(source_db, application_name="test") as connection:
        row = connection.execute(
            "SELECT '2024-02-03 04:05:06+00'::timestamptz::text, '1 mon 2 days -3:00'::interval::text,"
            " '\\x0a'::bytea::text, 0.1::float4::float8::text, current_setting('search_path'),"
            " current_setting('statement_timeout'), '{NULL}'::text[], format_type('text'::regtype, NULL)"
        ).fetchone()

    assert row == (
        "2024-02-03 04:05:06+00",
        "P1M2DT-3H",
        "\\x0a",
        "0.10000000149011612",
        "pg_catalog",
        "0",
        [None],
        "text",
    )


def test_a_session_says_who_it_is_and_speaks_utf8(session: psycopg.Connection) -> None:
    assert setting(session, "application_name") == "test"
    assert session.info.encoding == "utf-8"


def test_the_reserved_words_are_the_server_s(session: psycopg.Connection) -> None:
    rows = session.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')").fetchall()

    assert {word for (word,) in rows} <= RESERVED


def test_every_word_that_is_not_quoted_can_name_a_table(session: psycopg.Connection) -> None:
    words = [w for (w,) in session.execute("SELECT word FROM pg_get_keywords()").fetchall() if w not in RESERVED]

    for word in words:
        session.execute(f"CREATE TABLE {postgres.spell('public', word)} ()".encode())

    row = session.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchone()
    assert row == (len(words),)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_the_server_as_they_are(name: str, session: psycopg.Connection) -> None:
    session.execute(f"CREATE SCHEMA {postgres.quote(name)}".encode())
    session.execute(f"CREATE TABLE {postgres.quote(name, name)} (a int)".encode())

    row = session.execute(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass(%s)",
        [postgres.spell(name, name)],
    ).fetchone()

    assert row == (name, name)


@pytest.mark.parametrize(
    ("statement", "expected", "named"),
    [
        ("INSERT INTO public.people VALUES ('canary', 1)", Reaction.BLOCK, "constraint people_pkey"),
        ("INSERT INTO public.people VALUES (NULL, 1)", Reaction.BLOCK, "column name"),
        ("INSERT INTO public.people VALUES ('other', -1)", Reaction.BLOCK, "constraint people_age_check"),
        ("SELECT 'canary'::int", Reaction.BLOCK, "22P02"),
        ("SELECT 'canary'::date", Reaction.BLOCK, "22007"),
        ("DO $$ BEGIN RAISE EXCEPTION 'canary'; END $$", Reaction.BLOCK, "P0001"),
        ("SELECT canary_column FROM public.people", Reaction.BLOCK, "42703"),
        ("SELECT 1 FROM public.absent", Reaction.BLOCK, 'relation "public.absent" does not exist'),
        ("SELEC 'canary'", Reaction.STOP, "42601"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Reaction.RECONNECT, "57P01"),
    ],
)
def test_errors_are_described_by_name_and_never_by_value(
    statement: str, expected: Reaction, named: str, session: psycopg.Connection
) -> None:
    session.execute("CREATE TABLE public.people (name text PRIMARY KEY, age int CHECK (age > 0))")
    session.execute("INSERT INTO public.people VALUES ('canary', 1)")

    with pytest.raises(psycopg.Error) as caught:
        session.execute(statement.encode())

    words = postgres.describe(caught.value)
    assert named in words
    assert "canary" not in words.replace("canary_column", "")
    assert postgres.reaction(caught.value) is expected


def test_a_policy_that_hides_rows_is_an_error_instead_of_missing_rows(
    source_db: str, session: psycopg.Connection
) -> None:
    role = session.info.dbname
    session.execute(f"CREATE ROLE {postgres.quote(role)} LOGIN PASSWORD 'pw'".encode())
    try:
        session.execute("CREATE TABLE public.t (a int); ALTER TABLE public.t ENABLE ROW LEVEL SECURITY")
        session.execute(f"GRANT SELECT ON public.t TO {postgres.quote(role)}".encode())
        url = re.sub("//[^@]*@", f"//{role}:pw@", source_db)

        with (
            postgres.connect(url, application_name="test") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM public.t")
    finally:
        session.execute(f"DROP OWNED BY {postgres.quote(role)}; DROP ROLE {postgres.quote(role)}".encode())


def test_a_replication_session_answers_the_replication_protocol(source_db: str) -> None:
    with (
        suppress(psycopg.errors.FeatureNotSupported),  # there are no transactions to end
        postgres.connect(source_db, application_name="test", autocommit=True, replication=True) as connection,
    ):
        row = connection.execute("IDENTIFY_SYSTEM").fetchone()

    assert row is not None
    assert row[3] == source_db.rsplit("/", 1)[1]


def test_a_wrong_password_is_refused_without_repeating_it(source_server: str) -> None:
    with pytest.raises(Refused) as caught:
        postgres.connect(re.sub("//[^@]*@", "//postgres:canary@", source_server), application_name="test")

    assert "canary" not in str(caught.value)


def test_a_database_that_is_not_there_is_refused(source_server: str) -> None:
    with pytest.raises(Refused, match="does not exist"):
        postgres.connect(source_server.rsplit("/", 1)[0] + "/no_such_database", application_name="test")


def test_a_port_where_nobody_listens_is_unreachable_and_named() -> None:
    with pytest.raises(Unreachable) as caught:
        postgres.connect("postgresql://u:canary@127.0.0.1:1/d", application_name="test")

    assert not isinstance(caught.value, Refused)
    assert caught.value.where == "127.0.0.1:1"
    assert "canary" not in str(caught.value)
