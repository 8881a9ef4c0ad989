"""Types of PostgreSQL: what travels for each, and which changes of a type leave the stored values alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capture.sources.postgres.types import TypeFacts, keeps_values, mapping, numeric_size
from schemas.table import Kind, ValueType


def built_in(name: str, typmod: int = -1, spelling: str | None = None) -> TypeFacts:
    oid = 100 + sum(map(ord, name))
    text = spelling or name
    return TypeFacts(name, text, oid, typmod, name, "pg_catalog", text)


def numeric(precision: int, scale: int) -> TypeFacts:
    return built_in("numeric", ((precision << 16) | (scale & 0x7FF)) + 4, f"numeric({precision},{scale})")


def varchar(length: int) -> TypeFacts:
    return built_in("varchar", length + 4, f"character varying({length})")


MOOD = TypeFacts(
    "mood", "public.mood", 20_000, -1, "mood", "public", "public.mood", "e", ("sad", "ok"), user_defined=True
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bool", Kind.BOOLEAN), ("int2", Kind.INT16), ("int4", Kind.INT32), ("int8", Kind.INT64), ("oid", Kind.INT64),
        ("float4", Kind.FLOAT32), ("float8", Kind.FLOAT64), ("text", Kind.STRING), ("bpchar", Kind.STRING),
        ("name", Kind.STRING), ("bytea", Kind.BYTES), ("date", Kind.DATE), ("time", Kind.MICRO_TIME),
        ("timetz", Kind.ZONED_TIME), ("timestamp", Kind.MICRO_TIMESTAMP), ("timestamptz", Kind.ZONED_TIMESTAMP),
        ("interval", Kind.INTERVAL), ("jsonb", Kind.JSON), ("uuid", Kind.UUID), ("xml", Kind.XML),
        ("tsvector", Kind.TSVECTOR), ("_int4", Kind.STRING), ("inet", Kind.STRING), ("money", Kind.STRING),
        ("varbit", Kind.STRING), ("int4range", Kind.STRING), ("point", Kind.STRING),
    ],
)  # fmt: skip
def test_built_in_types_travel_as_their_kind(name, kind):
    assert mapping(built_in(name)).type == ValueType(kind)


@pytest.mark.parametrize("name", ["regclass", "regrole", "aclitem"])
def test_what_names_things_of_one_server_is_text_on_the_target(name):
    one, many = mapping(built_in(name)), mapping(replace(built_in(f"_{name}", spelling=f"{name}[]"), array=True))

    assert (one.target_type, one.fallback_type) == ("text", "text")
    assert (many.target_type, many.fallback_type) == ("text[]", "text[]")


def test_a_numeric_travels_at_its_scale_when_avro_can_say_it():
    assert mapping(numeric(10, 2)).type == ValueType(Kind.DECIMAL, precision=10, scale=2)
    assert mapping(numeric(10, 2)).length == 10
    assert mapping(built_in("numeric")).type == ValueType(Kind.VARIABLE_DECIMAL)


@pytest.mark.parametrize(("precision", "scale"), [(3, -2), (2, 5)])
def test_a_numeric_with_an_odd_scale_travels_with_the_scale_of_each_value(precision, scale):
    facts = numeric(precision, scale)

    assert numeric_size(facts.base_typmod) == (precision, scale)
    assert mapping(facts).type == ValueType(Kind.VARIABLE_DECIMAL)


def test_bits_of_no_fixed_length_travel_as_text():
    assert mapping(built_in("bit", 8)).type == ValueType(Kind.BITS, length=8)
    assert mapping(built_in("bit")).type == ValueType(Kind.STRING)


def test_an_enum_has_its_labels_and_falls_back_to_text():
    mapped = mapping(MOOD)

    assert mapped.type == ValueType(Kind.ENUM, allowed=("sad", "ok"))
    assert (mapped.target_type, mapped.fallback_type) == ("public.mood", "text")


def test_an_array_of_a_users_type_falls_back_to_an_array_of_text():
    array = TypeFacts(
        "_mood", "public.mood[]", 20_001, -1, "_mood", "public", "public.mood[]", user_defined=True, array=True
    )

    assert mapping(array).fallback_type == "text[]"


def test_a_domain_travels_as_its_base_and_falls_back_to_it():
    domain = replace(varchar(10), name="short", spelling="public.short")
    mapped = mapping(domain)

    assert (mapped.target_type, mapped.fallback_type) == ("public.short", "character varying(10)")
    assert (mapped.type, mapped.length) == (ValueType(Kind.STRING), 10)


def test_a_type_of_an_extension_is_known_by_its_name_in_any_schema():
    ltree = TypeFacts("ltree", "ext.ltree", 20_002, -1, "ltree", "ext", "ext.ltree", user_defined=True)

    assert mapping(ltree).type == ValueType(Kind.LTREE)
    assert mapping(ltree).fallback_type == "text"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (varchar(10), varchar(20)), (varchar(10), built_in("varchar")), (varchar(10), built_in("text")),
        (built_in("int4"), built_in("int8")), (built_in("int2"), built_in("int4")), (numeric(10, 2), numeric(12, 2)),
        (numeric(10, 2), built_in("numeric")), (built_in("timestamp", 3), built_in("timestamp", 6)),
        (built_in("timestamp", 3), built_in("timestamp")), (MOOD, replace(MOOD, labels=("sad", "ok", "happy"))),
    ],
)  # fmt: skip
def test_a_wider_type_keeps_every_value(old, new):
    assert keeps_values(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (varchar(20), varchar(10)), (built_in("text"), varchar(10)), (built_in("varchar"), varchar(10)),
        (built_in("int8"), built_in("int4")), (built_in("int4"), built_in("text")), (numeric(10, 2), numeric(10, 3)),
        (built_in("numeric"), numeric(10, 2)), (numeric(12, 2), numeric(10, 2)), (built_in("text"), MOOD),
        (built_in("timestamp"), built_in("timestamptz")), (built_in("timestamp"), built_in("timestamp", 3)),
        (built_in("bpchar", 9), built_in("bpchar", 12)), (built_in("json"), built_in("jsonb")),
    ],
)  # fmt: skip
def test_any_other_change_of_type_may_have_changed_values(old, new):
    assert not keeps_values(old, new)
