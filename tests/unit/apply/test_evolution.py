from __future__ import annotations

import pytest

from apply.errors import Blocked
from apply.evolution import alter, create, layout
from apply.layout import TargetColumn, TargetTable
from apply.type_width import widens
from runtime.type_names import TypeName, parse
from schemas.table import Column, Kind, TableSchema, ValueType

TEXT = ValueType(Kind.STRING)


def column(name: str, **changes: object) -> Column:
    return Column(name, TEXT, **changes)


def table(*columns: Column) -> TableSchema:
    return TableSchema("s", "t", columns)


def target(*columns: TargetColumn, unique: tuple[str, ...] = ("id",)) -> TargetTable:
    return TargetTable("s", "t", columns, frozenset([frozenset(unique)]))


def standing(name: str, kind: str = "text", **flags: bool) -> TargetColumn:
    return TargetColumn(name, kind, kind, **flags)


KEY = column("id", key_position=1, nullable=False)


@pytest.mark.parametrize(
    ("spelling", "parts"),
    [
        ("integer", TypeName("integer")),
        ("numeric(10,2)", TypeName("numeric", (10, 2))),
        ("numeric(3, -2)", TypeName("numeric", (3, -2))),
        ("timestamp(3) without time zone", TypeName("timestamp without time zone", (3,))),
        ("character varying(20)[]", TypeName("character varying[]", (20,))),
        ('public."Odd Type"', TypeName('public."Odd Type"')),
        ('public."a(b"', TypeName('public."a(b"')),
    ],
)
def test_a_types_spelling_has_a_name_and_modifiers(spelling: str, parts: TypeName) -> None:
    assert parse(spelling) == parts


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("bigint", "numeric(19,0)"),
        ("integer", "numeric"),
        ("real", "double precision"),
        ("character varying(5)", "character varying(6)"),
        ("character varying(5)", "character varying"),
        ("character varying(5)", "text"),
        ("numeric(5,2)", "numeric(6,3)"),
        ("numeric(5,2)", "numeric"),
        ("bit varying(5)", "bit varying(9)"),
        ("timestamp(3) without time zone", "timestamp without time zone"),
        ("time(0) without time zone", "time(3) without time zone"),
    ],
)
def test_a_type_that_holds_every_value_of_another_widens_it(current: str, wanted: str) -> None:
    assert widens(parse(current), parse(wanted))
    assert not widens(parse(wanted), parse(current))


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        ("integer", "integer"),
        ("integer", "text"),
        ("integer", "numeric(9,0)"),
        ("integer", "numeric(12,4)"),
        ("numeric(5,2)", "numeric(6,4)"),
        ("numeric", "numeric(100,10)"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("timestamp(6) without time zone", "timestamp without time zone"),
        ("character(3)", "character(5)"),
        ("text", "character varying(5)"),
    ],
)
def test_other_types_are_left_as_they_are(current: str, wanted: str) -> None:
    assert not widens(parse(current), parse(wanted))


def test_a_missing_table_is_made_with_its_key() -> None:
    made = table(column("b"), column('o"dd', key_position=2, nullable=False), KEY)

    statements = create(made, {"b": "text", 'o"dd': "integer", "id": "uuid"}, missing_schema=True)

    assert statements == [
        'CREATE SCHEMA IF NOT EXISTS "s"',
        'CREATE TABLE "s"."t" ("b" text, "o""dd" integer NOT NULL, "id" uuid NOT NULL, PRIMARY KEY ("id", "o""dd"))',
    ]


def test_a_table_without_a_key_has_no_constraint() -> None:
    assert create(table(column("b")), {"b": "text"}, missing_schema=False) == ['CREATE TABLE "s"."t" ("b" text)']


def test_a_new_column_brings_the_value_that_older_rows_have() -> None:
    new = column("n", nullable=False, missing="it's \\")

    changes = alter(table(KEY, new), target(standing("id")), {"id": "text", "n": "text"})

    assert changes == [
        """ALTER TABLE "s"."t" ADD COLUMN "n" text NOT NULL DEFAULT E'it''s \\\\'""",
        'ALTER TABLE "s"."t" ALTER COLUMN "n" DROP DEFAULT',
    ]


def test_a_new_column_without_such_a_value_takes_null() -> None:
    changes = alter(table(KEY, column("n", nullable=False)), target(standing("id")), {"id": "text", "n": "integer"})

    assert changes == ['ALTER TABLE "s"."t" ADD COLUMN "n" integer']


def test_not_null_is_relaxed_outside_the_key_and_generated_columns_are_left_alone() -> None:
    made = table(column("id", key_position=1), column("n"), column("g"))
    there = target(
        standing("id", not_null=True), standing("n", not_null=True), standing("g", not_null=True, generated=True)
    )

    assert alter(made, there, dict.fromkeys(("id", "n", "g"), "text")) == [
        'ALTER TABLE "s"."t" ALTER COLUMN "n" DROP NOT NULL'
    ]


def test_columns_are_found_by_name_whatever_their_order() -> None:
    found = layout(
        table(column("a"), KEY, column("g")), target(standing("id"), standing("g", generated=True), standing("a"))
    )

    assert [c.name for c in found.columns] == ["a", "id"]
    assert (found.positions, found.key, found.arbiter) == ((0, 1), (1,), True)


def test_another_unique_index_does_not_find_the_row_with_a_key() -> None:
    made = table(KEY, column("k2", key_position=2))
    there = (standing("id"), standing("k2"))

    assert not layout(made, target(*there, unique=("id",))).arbiter
    assert layout(made, target(*there, unique=("k2", "id"))).arbiter


@pytest.mark.parametrize("there", [None, target(standing("a")), target(standing("id", generated=True))])
def test_a_target_without_a_place_for_the_key_blocks(there: TargetTable | None) -> None:
    with pytest.raises(Blocked):
        layout(table(KEY), there)
