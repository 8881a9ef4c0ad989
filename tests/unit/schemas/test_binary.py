"""Avro's binary encoding, against a general Avro library and against hostile bytes."""

from __future__ import annotations

import io
import tracemalloc

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.binary import CORRUPT, MISFIT, read_long, reader, readers, write_long, writer
from schemas.errors import ContractError

LONGS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([63, 64, -64, -65, 8191, 8192, 2**63 - 1, -(2**63)])
CASES = st.one_of(
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("int"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("long"), LONGS),
    st.tuples(st.just("float"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just("double"), st.floats(allow_nan=False)),
    st.tuples(st.just("bytes"), st.binary(max_size=200)),
    st.tuples(st.just("string"), st.text(max_size=200)),
    st.tuples(st.just(["null", "string"]), st.none() | st.text()),
    st.tuples(st.just(["long", "null"]), st.none() | LONGS),
    st.tuples(st.just({"type": "array", "items": "string"}), st.lists(st.text(max_size=3), max_size=90)),
    st.tuples(st.just({"type": "map", "values": "long"}), st.dictionaries(st.text(max_size=3), LONGS)),
    st.tuples(
        st.just(
            {
                "type": "record",
                "name": "r",
                "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": {"type": "bytes"}}],
            }
        ),
        st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.binary()}),
    ),
)


@given(CASES)
def test_it_writes_and_reads_what_a_general_avro_library_does(case):
    schema, value = case
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, schema, value)
    data = writer(schema)(value)
    assert data == expected.getvalue()
    assert reader(schema)(b"-" + data, 1) == (value, 1 + len(data))


@given(CASES, st.binary(max_size=40))
def test_any_bytes_are_a_value_or_an_expected_error(case, data):
    schema, _ = case
    try:
        _, end = reader(schema)(data, 0)
    except CORRUPT:
        return
    assert 0 < end <= len(data)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**70])
def test_an_integer_beyond_64_bits_is_not_written(number):
    with pytest.raises(OverflowError):
        write_long(number)


@pytest.mark.parametrize("data", [b"\xff" * 9 + b"\x02", b"\xff" * 10 + b"\x01", b"\x80" * 20])
def test_an_integer_beyond_64_bits_is_not_read(data):
    with pytest.raises(CORRUPT):
        read_long(data, 0)


@pytest.mark.parametrize(
    ("schema", "value"),
    [("int", 2**31), ("int", "1"), ("float", 1e39), ("string", 3), ("string", "\ud800"), ("bytes", "text"),
     ({"type": "array", "items": "long"}, 3), ({"type": "map", "values": "long"}, [1])],
)  # fmt: skip
def test_a_value_of_another_type_is_not_written(schema, value):
    with pytest.raises(MISFIT):
        writer(schema)(value)


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        "bytes",
        {"type": "array", "items": "null"},
        {"type": "array", "items": "string"},
        {"type": "map", "values": "null"},
    ],
)
def test_a_hostile_length_costs_no_memory(schema):
    tracemalloc.start()
    for size in (2**40, 2**62, -1, -(2**62)):
        with pytest.raises(CORRUPT):
            reader(schema)(write_long(size) + b"\x02" * 9, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_blocks_with_their_size_in_bytes_are_read():
    data = write_long(-2) + write_long(2) + b"\x02\x04" + write_long(1) + b"\x06" + b"\x00"
    assert reader({"type": "array", "items": "long"})(data, 0) == ([1, 2, 3], len(data))


def test_a_record_may_be_named_by_schemas_that_follow_it():
    record = {"type": "record", "name": "r", "namespace": "a.b", "fields": [{"name": "x", "type": "long"}]}
    read = readers([record, "a.b.r"])[1]
    assert read(b"\x02", 0) == ({"x": 1}, 1)


@pytest.mark.parametrize(
    "schema",
    [
        "nothing",
        {"type": "enum", "name": "e", "symbols": ["a"]},
        {"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]},
        3,
        {"type": ["null"]},
    ],
)
def test_a_schema_outside_the_contract_is_refused(schema):
    with pytest.raises(ContractError):
        reader(schema)


@pytest.mark.parametrize("union", [["null", "string", "long"], ["string", "long"], ["null"]])
def test_only_a_union_of_null_and_one_type_is_written(union):
    with pytest.raises(ContractError):
        writer(union)
