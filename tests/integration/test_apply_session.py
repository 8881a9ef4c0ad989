"""The session with the target: when its transactions begin and end, and what goes to the server together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors

from apply.session import Session
from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def session(target_db: str) -> Iterator[Session]:
    session = Session(lambda: postgres.connect(target_db, application_name="ferryman tests"))
    session.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
    session.commit()
    yield session
    session.close()


def committed(target_db: str) -> list[int]:
    with psycopg.connect(target_db) as other:
        return [row[0] for row in other.execute("SELECT id FROM public.t ORDER BY id")]


def test_nothing_is_committed_before_the_commit(session: Session, target_db: str) -> None:
    session.execute("INSERT INTO public.t VALUES (1)")
    session.run("INSERT INTO public.t VALUES (2)")
    session.many("INSERT INTO public.t VALUES (%s)", [(3,), (4,)])
    session.copy("COPY public.t FROM STDIN", [b"5\n"])
    assert committed(target_db) == []
    session.commit()
    assert committed(target_db) == [1, 2, 3, 4, 5]


def test_statements_sent_together_begin_a_transaction_and_have_their_results_afterwards(
    session: Session, target_db: str
) -> None:
    with session.together():
        session.execute("INSERT INTO public.t VALUES (1)")
        found = session.execute("SELECT count(*) FROM public.t")
    assert found.fetchone() == (1,)
    assert committed(target_db) == []
    session.rollback()
    assert committed(target_db) == []


def test_a_commit_that_is_sent_together_with_statements_has_happened_at_the_end(
    session: Session, target_db: str
) -> None:
    with session.together():
        session.execute("INSERT INTO public.t VALUES (1)")
        session.commit()
    assert committed(target_db) == [1]
    session.execute("INSERT INTO public.t VALUES (2)")
    assert committed(target_db) == [1]


def test_a_commit_that_is_sent_together_with_a_statement_that_fails_does_not_happen(
    session: Session, target_db: str
) -> None:
    session.execute("INSERT INTO public.t VALUES (1)")

    def write() -> None:
        with session.together():
            session.execute("INSERT INTO public.t VALUES (2)")
            session.execute("INSERT INTO public.t VALUES (1)")
            session.execute("INSERT INTO public.t VALUES (3)")
            session.commit()

    with pytest.raises(errors.UniqueViolation):
        write()
    session.rollback()
    assert committed(target_db) == []
    session.execute("INSERT INTO public.t VALUES (4)")
    session.commit()
    assert committed(target_db) == [4]


def test_a_server_that_goes_away_between_statements_sent_together_is_a_lost_connection(
    session: Session, target_db: str
) -> None:
    session.execute("INSERT INTO public.t VALUES (1)")

    def write() -> None:
        with session.together():
            session.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            session.execute("INSERT INTO public.t VALUES (2)")
            session.commit()

    with pytest.raises(psycopg.OperationalError):
        write()
    session.rollback()
    session.close()
    assert committed(target_db) == []
