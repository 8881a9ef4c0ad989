"""The target has constraints of its own, and the role of apply is a plain one, so that they judge what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.block import UNSENT, Op
from schemas.table import Column, TableSchema
from tests.support.apply_lanes import Lane, Lanes, insert, open_lanes
from tests.support.databases import fresh_database
from tests.unit.apply.histories import INT, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.apply_feed import Change

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def lanes(kafka: str, target_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    with fresh_database(target_server, "target") as url:
        name = url.rpartition("/")[2].replace("target", "constraints")
        with open_lanes(tmp_path_factory.mktemp("constraints"), name, kafka, url) as made:
            yield made


@pytest.fixture(scope="module")
def bystander(lanes: Lanes) -> Lane:
    return lanes.lane("bystander")


def update(key: int, small: str, *, new: int | None = None) -> Change:
    """Change a row, without its `big`; ``new``: its new key."""
    before = (b"%d" % key, UNSENT, UNSENT)
    return Op.UPDATE, None if new is None else before, (b"%d" % (new or key), small.encode(), UNSENT)


def delete(key: int) -> Change:
    return Op.DELETE, (b"%d" % key, UNSENT, UNSENT), None


def family(name: str) -> TableSchema:
    """(id, parent)."""
    columns = (
        Column("id", INT, target_type="integer", key_position=1, nullable=False, identity=True),
        Column("parent", INT, target_type="integer"),
    )
    return TableSchema("public", name, columns)


def born(key: int, parent: int | None) -> Change:
    return Op.CREATE, None, (b"%d" % key, None if parent is None else b"%d" % parent)


def test_a_child_that_comes_before_its_parent_waits_for_it_and_no_other_table_does(
    lanes: Lanes, bystander: Lane
) -> None:
    parent = lanes.lane("parent", create="id int PRIMARY KEY, small text, big text")
    child = lanes.lane(
        "child", family("child"), "id int PRIMARY KEY, parent int CONSTRAINT born_of REFERENCES public.parent"
    )
    parent.change(insert(1))
    parent.arrived()

    child.change(born(1, 1))
    child.change(born(2, 7))
    reason, fix = child.halted()
    assert child.rows() == [(1, 1)]
    assert "23503" in reason
    assert "born_of" in reason
    assert "goes on by itself" in fix
    bystander.goes_on()
    parent.change(insert(7))
    child.streams()
    assert child.rows() == [(1, 1), (2, 7)]

    parent.change(delete(7))
    assert "born_of" in parent.halted()[0]
    bystander.goes_on()
    child.change((Op.DELETE, (b"2", UNSENT), None))
    parent.streams()

    assert (parent.rows(), child.rows()) == ([(1, "s", "b")], [(1, 1)])


def test_rows_that_refer_to_each_other_come_in_any_order(lanes: Lanes) -> None:
    trees = [
        lanes.lane(
            f"tree_{i}", family(f"tree_{i}"), f"id int PRIMARY KEY, parent int REFERENCES public.tree_{i} {when}"
        )
        for i, when in enumerate(["", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
    ]
    for tree in trees:
        tree.change(born(1, 2), born(2, 3), born(3, None))
        tree.change(*(born(i, i + 1) for i in range(10, 14)), born(14, None))
    for tree in trees:
        tree.streams()
        assert tree.rows() == [(1, 2), (2, 3), (3, None), (10, 11), (11, 12), (12, 13), (13, 14), (14, None)]

    # The parent goes first here: that is for constraints which can wait until the end.
    for tree in trees[1:]:
        tree.change((Op.UPDATE, None, (b"1", b"3")), (Op.DELETE, (b"2", UNSENT), None))
        tree.change((Op.UPDATE, (b"3", UNSENT), (b"9", None)), (Op.UPDATE, None, (b"1", b"9")))
    for tree in trees[1:]:
        tree.streams()
        assert tree.rows()[:2] == [(1, 9), (9, None)]


def test_a_table_from_which_a_foreign_key_would_remove_rows_by_itself_is_not_written(
    lanes: Lanes, bystander: Lane
) -> None:
    """A child that was made again may be there before the end of its former parent: it would go with that."""
    parent = lanes.lane("former", create="id int PRIMARY KEY, small text, big text")
    columns = "id int PRIMARY KEY, parent int CONSTRAINT taken REFERENCES public.former ON DELETE CASCADE"
    child = lanes.lane("again", family("again"), columns)
    parent.change(insert(1))
    child.change(born(1, 1))
    child.change((Op.DELETE, (b"1", UNSENT), None), born(2, 1))

    reason, fix = child.halted()
    assert "taken" in reason
    assert "session_replication_role" in fix
    bystander.goes_on()
    lanes.run(
        "ALTER TABLE public.again DROP CONSTRAINT taken, ADD CONSTRAINT kept FOREIGN KEY (parent) REFERENCES public.former"
    )
    child.streams()

    assert (parent.rows("id"), child.rows()) == ([(1,)], [(2, 1)])


@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "ON UPDATE SET NULL ON DELETE NO ACTION"])
def test_a_foreign_key_that_is_added_meanwhile_removes_nothing(lanes: Lanes, bystander: Lane, action: str) -> None:
    """Not even once: the transaction that would have set it off is undone."""
    names = [f"{part}_{action.split()[1].lower()}" for part in ("master", "detail")]
    master = lanes.lane(names[0], create="id int PRIMARY KEY, small text, big text")
    detail = lanes.lane(names[1], family(names[1]))
    master.change(insert(1), insert(2))
    detail.change(born(1, 1))
    master.streams()
    detail.streams()
    lanes.run(
        f"ALTER TABLE {detail.quoted} ADD CONSTRAINT late FOREIGN KEY (parent) REFERENCES {master.quoted} {action}"
    )

    master.change(delete(1) if "CASCADE" in action else update(1, "s", new=3))
    reason, fix = master.halted()
    assert "late" in reason
    assert "session_replication_role" in fix
    assert detail.rows() == [(1, 1)]
    detail.change(born(2, 2))
    assert "late" in detail.halted()[0]
    bystander.goes_on()
    lanes.run(f"ALTER TABLE {detail.quoted} DROP CONSTRAINT late")
    master.streams()
    detail.streams()

    assert master.rows("id") == [(2,)] if "CASCADE" in action else [(2,), (3,)]
    assert detail.rows() == [(1, 1), (2, 2)]


UNIQUE = [
    "UNIQUE (small)",
    "UNIQUE (small) DEFERRABLE",
    "UNIQUE (small) DEFERRABLE INITIALLY DEFERRED",
    "EXCLUDE (small WITH =)",
]


def test_a_unique_value_is_handed_from_row_to_row(lanes: Lanes) -> None:
    handed = [
        lanes.lane(f"handed_{i}", create=f"id int PRIMARY KEY, small text, big text, {constraint}")
        for i, constraint in enumerate(UNIQUE)
    ]
    values = {1: "v1", 2: "v25", 4: "v2", 31: "v3", **{i: f"v{i - 1}" for i in range(5, 26)}}
    expected = [(i, value, f"b{i}") for i, value in values.items()]
    for lane in handed:
        lane.change(*(insert(i, f"v{i}", f"b{i}") for i in range(1, 26)))
        # Round in a ring in one transaction, then in three, then out of a row that goes.
        lane.change(update(1, "free"), *(update(i, f"v{i - 1}") for i in range(2, 26)), update(1, "v25"))
        lane.change(update(1, "free"))
        lane.change(update(2, "v25"))
        lane.change(update(1, "v1"))
        lane.change(delete(3), insert(30, "v2", "b30"))
        lane.change(delete(30), update(4, "v2"), insert(31, "v3", "b31"))
        lane.change(insert(32, None, "b32"), insert(33, None, "b33"))
    for lane in handed:
        lane.streams()
        assert lane.rows() == sorted([*expected, (32, None, "b32"), (33, None, "b33")])


def test_unique_values_may_clash_until_the_end_of_a_transaction_of_many_parts(lanes: Lanes) -> None:
    large = [
        lanes.lane(f"parts_{i}", create=f"id int PRIMARY KEY, small text UNIQUE {when}, big text")
        for i, when in enumerate(["DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
    ]
    for lane in large:
        for first in range(1, 151, 25):
            lane.change(*(insert(i, f"v{i}") for i in range(first, first + 25)))
        lane.change(*(update(i, f"v{i + 1}") for i in range(1, 151)))
    for lane in large:
        lane.streams()
        assert lane.rows() == [(i, f"v{i + 1}", "b") for i in range(1, 151)]


def test_unique_values_that_clash_between_parts_hold_the_table_until_they_may(lanes: Lanes, bystander: Lane) -> None:
    """A constraint that cannot wait judges each part, and nothing of a later part is known by then."""
    lane = lanes.lane("strict_parts", create="id int PRIMARY KEY, small text CONSTRAINT one UNIQUE, big text")
    for first in range(1, 91, 25):
        lane.change(*(insert(i, f"v{i}") for i in range(first, min(first + 25, 91))))
    lane.arrived()
    lane.change(*(update(i, f"v{i + 1}") for i in range(1, 91)))
    reason, fix = lane.halted()
    assert "23505" in reason
    assert "one" in reason
    assert "DEFERRABLE" in fix
    assert lane.rows() == [(i, f"v{i}", "b") for i in range(1, 91)]
    bystander.goes_on()
    lanes.run(f"ALTER TABLE {lane.quoted} DROP CONSTRAINT one, ADD CONSTRAINT one UNIQUE (small) DEFERRABLE")
    lane.streams()
    assert lane.rows() == [(i, f"v{i + 1}", "b") for i in range(1, 91)]


def test_keys_that_change_places_across_batches_keep_what_was_not_sent(lanes: Lanes) -> None:
    lane = lanes.lane("swapped")
    lane.change(insert(1, "one", "big of one"), insert(2, "two", "big of two"))
    steps = [update(1, "one", new=-1), update(2, "two", new=1), update(-1, "one", new=2)]
    for step in steps:
        lane.change(step)
        lane.arrived()
    assert lane.rows() == [(1, "two", "big of two"), (2, "one", "big of one")]

    for step in steps:
        lane.change(step)
    lane.change(*steps)
    lane.change(*steps)
    lane.streams()
    assert lane.rows() == [(1, "two", "big of one"), (2, "one", "big of two")]


def test_generated_and_identity_columns_of_the_target_are_its_own(lanes: Lanes) -> None:
    create = (
        "id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, small text UNIQUE, big text,"
        " size int NOT NULL GENERATED ALWAYS AS (length(small)) STORED,"
        " own int NOT NULL GENERATED ALWAYS AS IDENTITY, made text NOT NULL DEFAULT 'here'"
    )
    by_size = {count: lanes.lane(f"generated_{count}", create=create) for count in (3, 24)}
    for count, lane in by_size.items():
        lane.change(*(insert(i, f"v{i:03}") for i in range(1, count + 1)))
    for count, lane in by_size.items():
        lane.arrived()
        own = dict(lane.rows("id, own"))
        assert len(set(own.values())) == count
        lanes.run(f"UPDATE {lane.quoted} SET made = 'kept'")
        lane.change(*(update(i, f"value {i}") for i in range(1, count)), update(count, "last", new=1000))
        lane.change(update(1, "1->2", new=-1), update(2, "2->1", new=1), update(-1, "1->2", new=2))
        lane.streams()

        own[1000] = own.pop(count)
        own[1], own[2] = own[2], own[1]
        texts = {1: "2->1", 2: "1->2", 1000: "last"}
        assert lane.rows("id, small, big, size, own, made") == [
            (i, text := texts.get(i, f"value {i}"), "b", len(text), own[i], "kept") for i in sorted(own)
        ]


def test_a_column_that_the_target_generates_stays_the_target_s(lanes: Lanes) -> None:
    lane = lanes.lane(
        "calculated", create="id int PRIMARY KEY, small text, big text GENERATED ALWAYS AS ('of ' || small) STORED"
    )
    lane.change(insert(1, "a", "sent"), insert(2, "b", "sent"))
    lane.change((Op.UPDATE, None, (b"1", b"c", b"sent")), delete(2))
    lane.streams()

    assert lane.rows() == [(1, "c", "of c")]


def test_a_check_that_refuses_a_new_value_of_a_row_holds_its_table_until_it_is_gone(
    lanes: Lanes, bystander: Lane
) -> None:
    lanes.run("CREATE DOMAIN public.brief AS text CONSTRAINT brief CHECK (length(VALUE) < 5)")
    columns = {
        "public.checked": "id int PRIMARY KEY, small text CONSTRAINT brief CHECK (length(small) < 5), big text",
        "public.brief": "id int PRIMARY KEY, small public.brief, big text",
    }
    checked = {what: lanes.lane(f"by_{what[7:]}", create=create) for what, create in columns.items()}
    for lane in checked.values():
        lane.change(*(insert(i) for i in range(1, 20)))
        lane.change(update(5, "far too long"))
        lane.change(update(6, "fits"))
    for lane in checked.values():
        reason, _ = lane.halted()
        assert ("23514" in reason, "brief" in reason, "far too long" in reason) == (True, True, False)
        assert lane.rows("small") == [("s",)] * 19
    bystander.goes_on()
    lanes.run("ALTER TABLE public.by_checked DROP CONSTRAINT brief")
    lanes.run("ALTER DOMAIN public.brief DROP CONSTRAINT brief")
    for lane in checked.values():
        lane.streams()
        assert lane.rows("small") == sorted([("far too long",), ("fits",), *[("s",)] * 17])


def test_equal_rows_without_a_key_are_counted_whatever_else_the_target_keeps_of_them(lanes: Lanes) -> None:
    keyless = table(key=False, full=True)
    lane = lanes.lane(
        "equal", keyless,
        "id int, small text, big text, own int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " size int GENERATED ALWAYS AS (coalesce(length(small), -1)) STORED"
    )  # fmt: skip
    odd, empty = (b"1", None, b"x"), (None, None, None)
    lane.change(*[(Op.CREATE, None, odd)] * 6, *[(Op.CREATE, None, empty)] * 4, (Op.CREATE, None, (b"1", b"", b"x")))
    lane.arrived()
    own = lane.rows("own")
    lane.change((Op.DELETE, odd, None), (Op.UPDATE, odd, (b"1", b"new", b"x")), (Op.DELETE, empty, None))
    lane.change((Op.UPDATE, empty, odd), (Op.DELETE, odd, None))
    lane.change(*[(Op.CREATE, None, empty)] * 2)
    lane.streams()

    assert lane.rows("id, small, big, size") == sorted(
        [(None, None, None, -1)] * 4 + [(1, None, "x", -1)] * 4 + [(1, "", "x", 0), (1, "new", "x", 3)],
        key=lambda row: [(v is not None, v) for v in row],
    )
    assert len(set(own) & set(lane.rows("own"))) >= 7


def test_rows_without_a_key_hand_a_unique_value_on(lanes: Lanes) -> None:
    keyless = table(key=False, full=True)
    lane = lanes.lane("unkeyed", keyless, "id int UNIQUE, small text, big text")
    lane.change((Op.CREATE, None, (b"1", b"a", b"x")), (Op.CREATE, None, (b"2", b"b", b"x")))
    lane.arrived()
    lane.change(
        (Op.UPDATE, (b"1", b"a", b"x"), (b"3", b"a", b"x")),
        (Op.UPDATE, (b"2", b"b", b"x"), (b"1", b"b", b"x")),
        (Op.UPDATE, (b"3", b"a", b"x"), (b"2", b"a", b"x")),
    )
    lane.streams()

    assert lane.rows() == [(1, "b", "x"), (2, "a", "x")]


def test_a_column_added_at_the_target_by_hand_keeps_its_values_when_rows_are_lifted_out(lanes: Lanes) -> None:
    lane = lanes.lane("grown")
    lane.change(insert(1), insert(2))
    lane.change(update(1, "x", new=3), update(2, "y", new=1), update(3, "x", new=2))
    lane.arrived()
    lanes.run(f"ALTER TABLE {lane.quoted} ADD COLUMN own text DEFAULT 'none'")
    lanes.run(f"UPDATE {lane.quoted} SET own = 'of ' || small")
    lane.change(update(1, "y", new=3), update(2, "x", new=1), update(3, "y", new=2))
    lane.streams()

    assert lane.rows("id, small, own") == [(1, "x", "of x"), (2, "y", "of y")]


def test_a_column_that_only_the_target_has_and_that_must_have_a_value_holds_its_table_until_it_has_a_default(
    lanes: Lanes, bystander: Lane
) -> None:
    lane = lanes.lane("strictly", create="id int PRIMARY KEY, small text, big text, mine int NOT NULL DEFAULT 3")
    lane.change(insert(1))
    lane.arrived()
    lanes.run(f"ALTER TABLE {lane.quoted} ALTER mine DROP DEFAULT")
    lane.change(insert(2))
    reason, fix = lane.halted()
    assert ("23502" in reason, "mine" in reason) == (True, True)
    assert "default" in fix
    bystander.goes_on()
    lanes.run(f"ALTER TABLE {lane.quoted} ALTER mine SET DEFAULT 4")
    lane.streams()

    assert lane.rows("id, mine") == [(1, 3), (2, 4)]
