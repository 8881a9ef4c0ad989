"""The control tables on the target: made once, and those of an earlier version serve on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apply import control
from apply.session import Session
from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture
def session(target_db: str) -> Iterator[Session]:
    session = Session(lambda: postgres.connect(target_db, application_name="ferryman tests"))
    yield session
    session.close()


def test_tables_of_an_earlier_version_get_the_columns_that_they_lack_and_keep_their_rows(session: Session) -> None:
    control.create(session)
    session.execute("ALTER TABLE ferryman.table_state DROP COLUMN reference_rows")
    session.execute(
        "INSERT INTO ferryman.table_state (pipeline, \"table\", topic, state) VALUES ('p', 'public.t', 'p.t', 'streaming')"
    )
    session.commit()
    control.create(session)
    rows = session.execute('SELECT "table", state, reference_rows FROM ferryman.table_state').fetchall()
    assert rows == [("public.t", "streaming", 0)]


def test_tables_that_are_there_are_used_by_a_role_that_may_make_none(session: Session) -> None:
    control.create(session)
    for statement in (
        "CREATE ROLE control_user",
        "GRANT USAGE ON SCHEMA ferryman TO control_user",
        "GRANT ALL ON ALL TABLES IN SCHEMA ferryman TO control_user",
    ):
        session.execute(statement)
    session.commit()
    try:
        session.execute("SET ROLE control_user")
        control.create(session)
    finally:
        session.rollback()
        session.execute("RESET ROLE")
        session.execute("DROP OWNED BY control_user")
        session.execute("DROP ROLE control_user")
        session.commit()
