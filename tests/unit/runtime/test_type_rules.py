"""Rules that give columns other types in the target: which columns they mean, and which types keep every value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import config
from runtime.errors import ConfigError
from runtime.settings_types import TypeRules
from runtime.type_names import TypeName, canonical, parse, spelled
from runtime.type_rules import Wanted, refusal, source_name
from schemas.table import Column, Kind, TableSchema, ValueType
from tests.unit.runtime.test_config import ALL, SMALLEST

if TYPE_CHECKING:
    from pathlib import Path


def column(kind: Kind, source_type: str = "", *, size: tuple[int, ...] = (), **fields: object) -> Column:
    precision, scale = (*size, None, None)[:2]
    value_type = (
        ValueType(kind, precision=precision, scale=scale)
        if kind is Kind.DECIMAL
        else ValueType(kind, length=precision if kind is Kind.BITS else None)
    )
    return Column("c", value_type, source_type=source_type, length=precision, scale=scale, **fields)  # type: ignore[arg-type]


UNSIGNED = column(Kind.DECIMAL, "BIGINT UNSIGNED", size=(20, 0))
PRICE = column(Kind.DECIMAL, "DECIMAL", size=(10, 2))
TINY = column(Kind.INT16, "TINYINT")
NAME = column(Kind.STRING, "VARCHAR", size=(40,))
AT = column(Kind.MICRO_TIMESTAMP, "DATETIME", target_type="timestamp(3) without time zone")
STAMP = column(Kind.ZONED_TIMESTAMP, "TIMESTAMP", target_type="timestamp(0) with time zone")
MOOD = column(Kind.ENUM, "ENUM")


@pytest.mark.parametrize(
    ("given", "to"),
    [
        (UNSIGNED, "bigint"),
        (UNSIGNED, "numeric"),
        (UNSIGNED, "numeric(30)"),
        (PRICE, "numeric(12,2)"),
        (PRICE, "numeric(8, 2)"),
        (PRICE, "text"),
        (TINY, "boolean"),
        (TINY, "BOOL"),
        (TINY, "int"),
        (column(Kind.BITS, "BIT", size=(1,)), "boolean"),
        (column(Kind.INT64), "smallint"),
        (column(Kind.INT32), "float8"),
        (column(Kind.FLOAT32), "double precision"),
        (NAME, "text"),
        (NAME, "varchar(40)"),
        (NAME, "jsonb"),
        (NAME, "uuid"),
        (NAME, "citext"),
        (MOOD, "shop.mood"),
        (AT, "timestamp"),
        (AT, "timestamp(3)"),
        (AT, "text"),
        (STAMP, "timestamptz(3)"),
        (column(Kind.JSON), "jsonb"),
    ],
)
def test_types_that_take_a_value_exactly_or_refuse_it_are_admitted(given: Column, to: str) -> None:
    assert refusal(given, Wanted(canonical(to))) is None


@pytest.mark.parametrize(
    ("given", "to"),
    [
        (PRICE, "numeric(10,1)"),  # it would round
        (PRICE, "numeric(10,3)"),  # it would write a zero that is not there
        (PRICE, "double precision"),
        (PRICE, "bigint"),
        (column(Kind.INT64), "double precision"),
        (column(Kind.INT32), "real"),
        (column(Kind.FLOAT64), "real"),
        (column(Kind.FLOAT64), "numeric"),
        (NAME, "varchar(39)"),  # spaces at the end would be cut off
        (column(Kind.STRING, "TEXT"), "varchar(1000)"),
        (NAME, "bigint"),
        (NAME, "boolean"),
        (NAME, "shop.mood"),
        (column(Kind.BITS, "BIT", size=(2,)), "boolean"),
        (AT, "timestamp(2)"),
        (AT, "timestamptz"),  # nobody said in which zone it is
        (STAMP, "timestamp"),
        (column(Kind.INTERVAL, "TIME"), "text"),
        (column(Kind.BYTES, "BINARY"), "uuid"),
    ],
)
def test_types_that_could_alter_a_value_are_refused_with_those_that_fit(given: Column, to: str) -> None:
    reason = refusal(given, Wanted(canonical(to)))
    assert reason is not None
    assert "column c is " in reason
    assert " takes " in reason


def test_between_timestamps_with_and_without_a_zone_somebody_must_name_it() -> None:
    assert refusal(AT, Wanted(canonical("timestamptz"), utc=True)) is None
    assert refusal(STAMP, Wanted(canonical("timestamp(0)"), utc=True)) is None
    assert refusal(AT, Wanted(canonical("timestamptz(2)"), utc=True)) is not None


@pytest.mark.parametrize(
    ("given", "to", "admitted"),
    [
        (Kind.STRING, "text", True),
        (Kind.INT64, "bigint", True),
        (Kind.ENUM, "shop.mood", True),
        (Kind.STRING, "citext", False),  # two keys of the source would be one
        (Kind.STRING, "uuid", False),
        (Kind.STRING, "jsonb", False),
        (Kind.INT16, "boolean", False),
        (Kind.MICRO_TIMESTAMP, "text", False),
    ],
)
def test_keys_get_only_types_that_tell_them_apart_as_the_source_does(given: Kind, to: str, admitted: bool) -> None:
    reason = refusal(column(given, key_position=1), Wanted(canonical(to)))
    assert (reason is None) == admitted
    assert reason is None or "part of the key" in reason


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("timestamptz(3)", "timestamp(3) with time zone"),
        ("TIMESTAMP (3) WITHOUT TIME ZONE", "timestamp(3) without time zone"),
        ("decimal(10)", "numeric(10,0)"),
        ("varchar(20)", "character varying(20)"),
        ("INT8", "bigint"),
        ('shop."Mood"', 'shop."Mood"'),
    ],
)
def test_a_type_is_spelled_as_the_server_does(written: str, found: str) -> None:
    assert spelled(canonical(written)) == found
    assert parse(found) == canonical(written)


@pytest.mark.parametrize(
    ("catalog", "rule"),
    [
        ("INT8", "bigint"),
        ("INT", "integer"),
        ("INT UNSIGNED", "integer  unsigned"),
        ("BPCHAR", "character"),
        ("TIMESTAMPTZ", "timestamp with time zone"),
        ("DOUBLE", "float8"),
        ("DECIMAL", "numeric"),
        ("VARCHAR", "character varying"),
        ("BOOL", "boolean"),
    ],
)
def test_a_source_type_may_be_named_as_people_or_as_catalogs_do(catalog: str, rule: str) -> None:
    assert source_name(catalog) == source_name(rule)


# --- in the pipeline file ---------------------------------------------------------------------------------------------


def table(*columns: Column, name: str = "orders") -> TableSchema:
    return TableSchema("shop", name, columns, connector="mysql")


def test_the_first_rule_that_matches_counts() -> None:
    rules = TypeRules.model_validate(
        [
            {"columns": "shop.orders.id", "from": "bigint unsigned", "to": "bigint"},
            {"columns": ["shop.*.is_?", 'shop."a.b".*'], "to": "boolean"},
            {"from": "bigint unsigned", "to": "numeric"},
            {"from": "decimal(10,2)", "to": "text"},
        ]
    )
    one = table(
        Column("id", UNSIGNED.type, source_type="BIGINT UNSIGNED", length=20, scale=0),
        Column("n", UNSIGNED.type, source_type="BIGINT UNSIGNED"),
        Column("is_x", TINY.type, source_type="TINYINT"),
        Column("is_xy", TINY.type, source_type="TINYINT"),
        Column("price", PRICE.type, source_type="DECIMAL", length=10, scale=2),
        Column("other", PRICE.type, source_type="DECIMAL", length=10, scale=3),
    )
    found = [rules.wanted(one, c) for c in one.columns]
    assert [w and spelled(w.type) for w in found] == ["bigint", "numeric", "boolean", None, "text", None]
    other = table(Column("n", TINY.type, source_type="TINYINT"), name="a.b")
    assert rules.wanted(other, other.columns[0]) == Wanted(TypeName("boolean"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA", "127.0.0.1:9092")
    monkeypatch.setenv("SOURCE_URL", "mysql://u@127.0.0.1/")
    monkeypatch.setenv("TARGET_URL", "postgresql://u@127.0.0.1/db")


def load(folder: Path, more: str, kind: str = "mysql") -> config.Pipeline:
    path = folder / "pipeline.yaml"
    path.write_text(SMALLEST.replace("type: postgresql ", f"type: {kind} ") + more)
    return config.load(path, ALL)


def faults(folder: Path, more: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, more)
    return {fault.where: fault.what for fault in caught.value.faults}


def test_rules_are_read_from_the_pipeline_file(tmp_path: Path) -> None:
    rules = load(tmp_path, "types:\n  - from: bigint unsigned\n    to: bigint\n").types
    assert rules.wanted(table(UNSIGNED), UNSIGNED) == Wanted(TypeName("bigint"))


def test_all_faults_of_the_rules_are_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "types:\n"
        "  - {to: bigint}\n"
        "  - {columns: shop.orders, to: bigint}\n"
        "  - {columns: shop.orders.id, to: boolen}\n"
        "  - {columns: shop.orders.id, to: boolean, zone: UTC}\n"
        "  - {columns: shop.orders.at, to: timestamptz, zone: Europe/Berlin}\n"
        "  - {columns: shop.orders.at, too: text}\n",
    )
    assert found["types[0]"] == "names no column"
    assert "is not <schema>.<table>.<column>" in found["types[1].columns"]
    assert "no type that a rule may give" in found["types[2].to"]
    assert "nothing to do with a zone" in found["types[3]"]
    assert found["types[4].zone"] == "is none of the choices"
    assert found["types[5].too"] == "is no setting"
    assert found["types[5].to"] == "is missing"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{from: tinyint(1), to: boolean}", "the width in 'tinyint(1)' is for display"),
        ("{from: int8, to: text}", "'int8' is no type of MySQL"),
    ],
)
def test_a_rule_that_can_never_match_is_a_fault(tmp_path: Path, rule: str, says: str) -> None:
    assert says in faults(tmp_path, f"types: [{rule}]\n")[""]


def test_rules_beside_a_policy_that_makes_no_columns_are_a_fault(tmp_path: Path) -> None:
    found = faults(tmp_path, "types: [{from: tinyint, to: boolean}]\napply: {evolution: ignore}\n")
    assert "apply.evolution is ignore" in found[""]
