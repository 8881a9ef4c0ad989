"""Repairing rows of a real target from MySQL and MariaDB, with apply played by hand."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from apply import control
from apply.session import Session
from operate.validate.origin import Refusal
from operate.validate.repair import CannotRepair, Checkpoints, Repair
from operate.validate.table import Comparison
from runtime import postgres
from tests.support.mysql_pair import Arrived, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.live

PLACE = Checkpoints("shop", "shop.x.t", 1)
#: Types whose values are written otherwise on both sides, with two values of each.
TYPES = {
    "bigint unsigned": ("numeric(20)", "18446744073709551615", "0"),
    "decimal(65,30)": ("numeric(65,30)", f"{'9' * 35}.{'9' * 30}", "-0.5"),
    "double": ("double precision", "1e308", "0.1"),
    "bit(9)": ("bit(9)", "b'101'", "b'0'"),
    "datetime(6)": ("timestamp(6)", "'9999-12-31 23:59:59.999999'", "'1000-01-01'"),
    "time(3)": ("interval(3)", "'-838:59:58.999'", "'00:00:00.001'"),
    "varchar(20) CHARACTER SET latin1": ("varchar(20)", "_utf8mb4'é\t\\\\N€'", "''"),
    "text CHARACTER SET utf16": ("text", "_utf8mb4'😀\n'", "'a '"),
    "varbinary(10)": ("bytea", "x'00ff5c0a'", "''"),
    "json": ("jsonb", """'{"a": [1, null, "\\\\t"]}'""", "'[]'"),
    "set('a','b')": ("text", "'a,b'", "''"),
}


class Way:
    """The way to the target: each wait is an occasion for something to happen."""

    stuck = None

    def __init__(self, happenings: Sequence[Callable[[], object]]) -> None:
        self._happenings = list(happenings)

    def catch_up(self) -> bool:
        if self._happenings:
            self._happenings.pop(0)()
        return self.stuck is None


@pytest.fixture
def pair(mysql_kind_db: str, target_db: str) -> Iterator[Pair]:
    made = Pair(mysql_kind_db, target_db)
    session = Session(lambda: psycopg.connect(target_db))
    control.create(session)
    session.close()
    made.target.execute(
        "INSERT INTO ferryman.checkpoint (pipeline, topic, partition, topic_id, next_offset, epoch, owner) "
        "VALUES ('shop', 'shop.x.t', 0, 'x', 7, 1, 'test')"
    )
    with made.crew, made.target:
        yield made
    made.source.close()


def repair(pair: Pair, during: Sequence[Callable[[], object]] = (), *, keyless: bool = False) -> int:
    """Compare, then repair what was found; ``during`` happens while the repair waits for the pipeline."""
    plan, found = pair.plan(keyless=keyless), []
    Comparison(plan, pair.crew, Arrived(), found=found.extend).run()
    with closing(pair.origin.open()) as source, postgres.connect(pair.target_url, application_name="test") as target:
        one = Repair(plan, source.side(plan), target, Way(during), PLACE, 60.0)
        return one.run([finding.id for finding in found])


def rows(pair: Pair, query: str = "SELECT * FROM t") -> tuple[list, list]:
    """Return the rows of both sides as their drivers show them, sorted."""
    with pair.source.cursor() as cursor:
        cursor.execute(query)
        ours = list(cursor.fetchall())
    pair.source.commit()
    return sorted(ours, key=repr), sorted(pair.target.execute(query).fetchall(), key=repr)


def test_missing_extra_and_different_rows_become_those_of_the_source(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (id int PRIMARY KEY, v varchar(50))")
    pair.at_source(f"INSERT INTO t VALUES {', '.join(f'({n}, {n})' for n in range(1, 3_001))}")
    pair.at_target("CREATE TABLE t (id int PRIMARY KEY, v varchar(50), loaded text DEFAULT 'here')")
    pair.at_target("INSERT INTO t SELECT g, g, 'before' FROM generate_series(1, 3000) g")
    pair.at_target("DELETE FROM t WHERE id BETWEEN 10 AND 1500", "INSERT INTO t VALUES (0, ''), (9999, NULL)")
    pair.at_target("UPDATE t SET v = v || ' ' WHERE id = 2000")
    pair.at_source("UPDATE t SET v = NULL WHERE id = 2002", "UPDATE t SET v = '' WHERE id = 2003")

    assert repair(pair) == 1_491 + 2 + 3

    ours, theirs = rows(pair, "SELECT id, v FROM t")
    assert theirs == ours
    own = pair.target.execute("SELECT loaded, count(*) FROM t GROUP BY 1 ORDER BY 1").fetchall()
    assert own == [("before", 3_000 - 1_491), ("here", 1_491)]
    assert repair(pair) == 0


def test_values_of_every_form_are_written_as_the_topics_would_have_brought_them(pair: Pair) -> None:
    ours = ", ".join(f"v{n} {kind}" for n, kind in enumerate(TYPES))
    theirs = ", ".join(f"v{n} {kind}" for n, (kind, *_) in enumerate(TYPES.values()))
    values = [", ".join(given[at] for given in TYPES.values()) for at in (1, 2)]
    pair.at_source(f"CREATE TABLE t (id int PRIMARY KEY, {ours})")
    pair.at_source(f"INSERT INTO t VALUES (1, {values[0]}), (2, {values[1]}), (3, {', '.join(['NULL'] * len(TYPES))})")
    pair.at_target(f"CREATE TABLE t (id int PRIMARY KEY, {theirs})", "INSERT INTO t (id) VALUES (1), (4)")

    assert repair(pair) == 4

    assert pair.compare() == (3, 0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "there", "keys"),
    [
        ("datetime(6)", "timestamp(6)", ["'2026-01-01'", "'2026-01-01 00:00:00.000001'"]),
        ("varbinary(9)", "bytea", ["x'00'", "x'0000'"]),
        ("varchar(9) COLLATE utf8mb4_bin", "varchar(9)", ["'k'", "'K'"]),
    ],
)
def test_keys_that_the_source_cannot_be_asked_for_or_takes_for_others_are_repaired_too(
    pair: Pair, kind: str, there: str, keys: list[str]
) -> None:
    pair.at_source(f"CREATE TABLE t (a {kind} PRIMARY KEY, v int)")
    pair.at_source(f"INSERT INTO t VALUES ({keys[0]}, 1), ({keys[1]}, 2)")
    pair.at_target(f"CREATE TABLE t (a {there} PRIMARY KEY, v int)")

    assert repair(pair) == 2

    assert pair.compare() == (2, 0, 0, 0)


def test_duplicates_without_a_key_become_as_many_as_at_the_source(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int, b varchar(9))")
    pair.at_source(f"INSERT INTO t VALUES {', '.join(f'({n % 3}, NULL)' for n in range(30))}")
    pair.at_target("CREATE TABLE t (a int, b varchar(9))", "INSERT INTO t SELECT g % 3 FROM generate_series(1, 26) g")
    pair.at_target("INSERT INTO t VALUES (2, NULL), (2, NULL), (7, 'x')")

    assert repair(pair, keyless=True) == 4

    ours, theirs = rows(pair)
    assert theirs == ours


def test_a_row_that_is_changed_and_changed_back_meanwhile_is_left_to_apply(pair: Pair) -> None:
    """Both readings of the source are equal. The target stands between: what they show is yet to come there."""
    pair.at_source("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    pair.at_target("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0), (2, 2)")
    seen = []

    def changed_and_changed_back_and_the_first_of_it_arrives() -> None:
        pair.at_source("UPDATE t SET v = 5 WHERE id = 1", "UPDATE t SET v = 1 WHERE id = 1")
        pair.at_target("UPDATE t SET v = 5 WHERE id = 1")

    def the_rest_arrives() -> None:
        seen.extend(pair.target.execute("SELECT v FROM t WHERE id = 1").fetchone())
        pair.at_target("UPDATE t SET v = 1 WHERE id = 1")

    assert repair(pair, [changed_and_changed_back_and_the_first_of_it_arrives, the_rest_arrives]) == 0

    assert seen == [5], "a value was written that an event was still to bring"
    ours, theirs = rows(pair)
    assert theirs == ours


def test_a_row_that_comes_and_goes_meanwhile_is_not_taken_for_an_extra_one(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 1), (1, 1)")
    pair.at_target("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 1)")
    counts = []

    def an_insert_arrives_whose_delete_does_not_yet() -> None:
        pair.at_target("INSERT INTO t VALUES (1, 1), (1, 1)")

    def the_delete_arrives() -> None:
        counts.append(len(rows(pair)[1]))
        pair.at_target("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)")

    during = [an_insert_arrives_whose_delete_does_not_yet, the_delete_arrives]
    assert repair(pair, during, keyless=True) == 0

    assert counts == [3], "the row was deleted, and its own delete would have taken another one"


def test_a_row_that_changes_between_reading_and_copying_is_copied_as_it_was_read(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.at_source("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    pair.at_target("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
    original = Repair._write

    def change_and_write(self, *arguments) -> None:
        pair.at_source("UPDATE t SET v = 2")
        original(self, *arguments)

    monkeypatch.setattr(Repair, "_write", change_and_write)
    assert repair(pair) == 1

    assert rows(pair) == ([(1, 2)], [(1, 1)])


def test_what_the_target_cannot_store_undoes_the_repair(pair: Pair) -> None:
    pair.at_source("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 1), (2, 2)")
    pair.at_target("CREATE TABLE t (id int PRIMARY KEY, n int)")
    pair.at_target("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n = 0; RETURN NEW; END'")
    pair.at_target("CREATE TRIGGER keep BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION keep()")

    with pytest.raises(CannotRepair, match="does not store"):
        repair(pair)

    assert rows(pair)[1] == []


def test_a_session_at_the_source_that_is_lost_undoes_the_repair(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one would show another state of the source."""
    pair.at_source("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 1)")
    pair.at_target("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
    original = Repair._write

    def lose_and_write(self, *arguments) -> None:
        self._source._end._reader._force_close()
        original(self, *arguments)

    monkeypatch.setattr(Repair, "_write", lose_and_write)
    with pytest.raises(Refusal, match="was lost"):
        repair(pair)

    assert rows(pair)[1] == [(1, 0)]
