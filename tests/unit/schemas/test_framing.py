"""Frames name the schema of an event; anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ContractError
from schemas.fingerprint import crc64, fingerprint, schema_text
from schemas.framing import VALUE_HEADER, Fingerprint, Guid, RegistryId, confluent, frame_of, read_frame, single_object


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0xC15D213AA4D7A795),
        ('"null"', 0x63DD24E7CC258F8A),
        ('"int"', 0x7275D51A3F395C8F),
        ('"string"', 0x8F014872634503C7),
    ],
)
def test_fingerprints_are_those_of_avros_own_test_vectors(text, expected):
    assert crc64(text.encode()) == expected


def test_the_frame_of_a_published_schema_is_the_published_one():
    assert single_object(fingerprint("int")) == bytes.fromhex("c301 8f5c393f1ad57572")


def test_a_schemas_text_does_not_depend_on_the_order_of_its_keys():
    assert schema_text({"b": 1, "a": "é"}) == schema_text({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'


@given(st.integers(0, 2**64 - 1), st.binary(max_size=5))
def test_a_single_object_frame_comes_back(number, payload):
    assert read_frame(single_object(number) + payload) == (Fingerprint(number), 10)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=5))
def test_a_confluent_frame_comes_back(number, payload):
    assert read_frame(confluent(number) + payload) == (RegistryId(number), 5)


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=5))
def test_a_guid_frame_comes_back(guid, payload):
    assert read_frame(b"\x01" + guid + payload) == (Guid(guid), 17)


def test_a_frame_in_the_headers_leaves_the_payload_whole():
    headers = [("other", b""), (VALUE_HEADER, b"\x01" + bytes(16))]
    assert frame_of(b"payload", headers) == (Guid(bytes(16)), 0)


def test_without_such_a_header_the_payload_is_framed():
    assert frame_of(confluent(7), [("__key_schema_id", b"\x01" + bytes(16)), (VALUE_HEADER, None)]) == (
        RegistryId(7),
        5,
    )


def test_a_header_with_more_than_a_frame_is_refused():
    with pytest.raises(ContractError, match=VALUE_HEADER):
        frame_of(b"", [(VALUE_HEADER, confluent(7) + b"x")])


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"\xc3", "cut short"), (b"\xc3\x01" + bytes(7), "cut short"), (b"\xc3\x02" + bytes(9), "cut short"),
     (bytes(4), "cut short"), (b"\x01" + bytes(15), "cut short"), (b"{}", "0x7b")],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_seen(data, reason):
    with pytest.raises(ContractError, match=reason):
        read_frame(data)


@pytest.mark.parametrize("make", [lambda: single_object(1 << 64), lambda: confluent(1 << 32), lambda: confluent(-1)])
def test_an_id_beyond_its_frame_is_refused(make):
    with pytest.raises(ContractError):
        make()
