"""MySQL's binary JSON: bytes that MySQL 9.7 logged, and the text that it selects of them."""

from __future__ import annotations

import pytest

from capture.sources.mysql.row_images.json_binary import JsonError, text

LOGGED = [
    ("", "null"),
    ("0000000400", "{}"),
    ("0200000400", "[]"),
    ("0400", "null"),
    ("0401", "true"),
    ("05ffff", "-1"),
    ("07ffff0000", "65535"),
    ("09ffffffff00000000", "4294967295"),
    ("09ffffff7fffffffff", "-2147483649"),
    ("0affffffffffffffff", "18446744073709551615"),
    ("0b000000000000f03f", "1.0"),
    ("0b7dc39425ad49b254", "1e100"),
    ("0b0000000000000080", "-0.0"),
    ("0b00003426f56b0c43", "1e15"),
    ("0c076100225c620a1f", '"a\\u0000\\"\\\\b\\n\\u001f"'),
    (
        (
            "0003004500190001001a0001001b000200021d0005010000320061626161030015000401000400000b0d00000000000000f83f0100"
            "13000b0001000c0c007806c3a9f09f9880"
        ),
        '{"a": [true, null, 1.5], "b": 1, "aa": {"x": "é😀"}}',
    ),
    (
        "02040032000f10000f1a000f24000f2d000a08000000000044a5190b08e05ef8fa6efefffff6070b027ffffffecd0f0300ff80",
        '["2020-01-02", "-25:04:05.500000", -1.50, "base64:type15:AP+A"]',
    ),
    (
        "0f0f3c" + "01" * 60,
        '"base64:type15:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\\nAQEB"',
    ),
    (
        "0203001f000f0d00071700071b000c0870580a053144a5197011010090eefeff",
        '["2020-01-02 03:04:05.678000", 70000, -70000]',
    ),
]


@pytest.mark.parametrize(("logged", "selected"), LOGGED)
def test_what_is_logged_is_written_as_the_server_writes_it(logged, selected):
    assert text(bytes.fromhex(logged)).decode() == selected


@pytest.mark.parametrize("logged", [logged for logged, _ in LOGGED if len(logged) > 4])
def test_bytes_that_end_too_soon_are_refused(logged):
    data = bytes.fromhex(logged)
    for end in range(1, len(data)):
        with pytest.raises(JsonError):
            text(data[:end])


def test_a_document_that_holds_itself_is_refused():
    with pytest.raises(JsonError):
        text(bytes.fromhex("0201000700020000"))


def test_an_unknown_type_is_refused():
    with pytest.raises(JsonError):
        text(b"\x0d\0\0")


@pytest.mark.parametrize("logged", ["0ff6050402800132", "0ff603040280", "0ff603020380"])
def test_a_decimal_of_another_size_than_its_precision_tells_is_refused(logged):
    with pytest.raises(JsonError):
        text(bytes.fromhex(logged))
