"""Which changes of a table's columns make what was published before untrue."""

from __future__ import annotations

import json

import pytest

from capture.sources.postgres.catalog import ColumnFacts, TableFacts, Version, table_schema
from capture.sources.postgres.pgoutput import Relation, RelationColumn
from capture.sources.postgres.steps import Shape, loss
from capture.sources.postgres.types import TypeFacts

INT, BIG, TEXT = (23, -1), (20, -1), (25, -1)
TYPES = {
    INT: TypeFacts("int4", "integer", 23, -1, "int4", "pg_catalog", "integer"),
    BIG: TypeFacts("int8", "bigint", 20, -1, "int8", "pg_catalog", "bigint"),
    TEXT: TypeFacts("text", "text", 25, -1, "text", "pg_catalog", "text"),
}


def column(number, *, filled):
    return ColumnFacts(number, nullable=True, missing=None, comment=None, filled=filled)


def version(*columns, primary=("id",), filled=()):
    """A table with columns (attnum, name, type), all keyed by its primary key."""
    relation = Relation(
        1, "public", "t", "d", tuple(RelationColumn(name in primary, name, *kind) for _, name, kind in columns)
    )
    facts = TableFacts(
        {
            name: ColumnFacts(number, nullable=True, missing=None, comment=None, filled=name in filled)
            for number, name, _ in columns
        },
        primary,
        comment=None,
    )
    return Version(relation, facts, TYPES, table_schema(relation, facts, TYPES, "db"))


BEFORE = version((1, "id", INT), (2, "v", TEXT))


def step(after):
    return loss(Shape.of(BEFORE), Shape.of(after), after, TYPES)


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        version((1, "id", INT)),
        version((1, "id", BIG), (2, "v", TEXT)),
        version((1, "id", INT), (2, "v", TEXT), (3, "w", INT)),
        version((1, "id", INT), (3, "w", INT)),
    ],
    ids=["nothing", "a column dropped", "a type widened", "a column added", "one dropped and one added"],
)
def test_what_leaves_the_stored_rows_alone_loses_nothing(after):
    assert step(after) is None


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (version((1, "id", INT), (2, "w", TEXT)), "column v was renamed to w"),
        (version((1, "id", INT), (2, "v", INT)), "column v changed its type"),
        (version((1, "id", INT), (2, "v", TEXT), (3, "w", INT), filled={"w"}), "column w was added"),
        (version((1, "id", INT), (3, "v", TEXT)), "column v was dropped and added again"),
        (version((1, "id", INT), (2, "v", TEXT), primary=("id", "v")), "its key was changed"),
        (version((1, "id", INT), (2, "v", TEXT), primary=()), "its key was changed"),
    ],
)
def test_what_changes_rows_without_a_word_in_the_log_is_a_loss(after, reason):
    found = step(after)

    assert found is not None
    assert found.startswith(reason)


def test_a_column_whose_name_a_dropped_one_had_is_a_loss_however_long_ago():
    dropped = version((1, "id", INT))
    between = Shape.of(dropped).after(Shape.of(BEFORE))
    again = version((1, "id", INT), (3, "v", TEXT))

    assert loss(Shape.of(BEFORE), between, dropped, TYPES) is None
    assert loss(between, Shape.of(again).after(between), again, TYPES) == "column v was dropped and added again"


def test_a_shape_survives_being_saved_as_json():
    shape = Shape.of(version((1, "id", INT))).after(Shape.of(BEFORE))

    assert shape.gone == {"v"}
    assert Shape.load(json.loads(json.dumps(shape.dump()))) == shape
