"""MySQL's source forms as Avro values, what spells them in PostgreSQL, and how they are asked for."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from capture.sources.mysql import query
from capture.sources.mysql.policy import Policy
from capture.sources.mysql.row_images import charsets, numerals, temporal
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.types import column, is_known
from capture.sources.mysql.values import converter
from schemas.table import Kind
from schemas.values import Verbatim

POINT = struct.pack("<BIdd", 1, 1, 1.0, 2.0)


@pytest.mark.parametrize(
    ("meta", "form", "value"),
    [
        (ColumnMeta("c", "tinyint"), b"-128", -128),
        (ColumnMeta("c", "year"), b"0000", 0),
        (ColumnMeta("c", "bigint", unsigned=True), b"18446744073709551615", b"\0" + b"\xff" * 8),
        (ColumnMeta("c", "decimal", precision=5, scale=2), b"-1.50", b"\xff\x6a"),
        (ColumnMeta("c", "double"), b"1e20", 1e20),
        (ColumnMeta("c", "bit", length=10), b"\x02\x01", b"\x01\x02"),
        (ColumnMeta("c", "date"), b"1970-01-02", 1),
        (ColumnMeta("c", "datetime", fsp=3), b"1970-01-01 00:00:01.500", 1_500_000),
        (ColumnMeta("c", "timestamp", fsp=0), b"2026-01-31 12:34:56", "2026-01-31T12:34:56Z"),
        (ColumnMeta("c", "time", fsp=0), b"838:59:59", "PT838H59M59S"),
        (ColumnMeta("c", "time", fsp=6), b"-25:00:00.500000", "PT-25H-0.5S"),
        (ColumnMeta("c", "time", fsp=2), b"00:00:00.00", "PT0S"),
        (ColumnMeta("c", "enum", labels=("a",)), b"", ""),
        (ColumnMeta("c", "varchar", charset="utf8mb4"), "é\0".encode(), "é\0"),
        (ColumnMeta("c", "point"), bytes(4) + POINT, POINT),
        (ColumnMeta("c", "point"), b"\xe6\x10\0\0" + POINT, POINT[:4] + b"\x20\xe6\x10\0\0" + POINT[5:]),
        (ColumnMeta("c", "vector", length=2), struct.pack("<ff", 0.1, -2.0), "[0.1,-2.0]"),
    ],
)
def test_a_value_becomes_what_the_contract_says(meta, form, value):
    assert converter(column(meta))(form) == value


NO_DATES = [b"0000-00-00", b"2026-00-31", b"2026-01-00", b"2026-02-31", b"0000-01-01"]


@pytest.mark.parametrize("form", NO_DATES)
def test_a_date_that_no_calendar_has_is_verbatim_or_before_all_others_and_counted(form):
    counted: Counter[str] = Counter()
    policy = Policy(infinity=True, altered=lambda setting: counted.update([setting]))
    for kind, rest in (("date", b""), ("datetime", b" 00:00:00"), ("timestamp", b" 00:00:00")):
        found = column(ColumnMeta("c", kind, fsp=0))
        kept = converter(found)(form + rest)
        assert (type(kept), kept) == (Verbatim, (form + rest).decode())
        assert converter(found, policy)(form + rest) == Verbatim("-infinity")
    assert counted == {"zero_dates": 3}


def test_nul_characters_become_their_picture_where_that_was_chosen_and_are_counted():
    counted: Counter[str] = Counter()
    policy = Policy(symbol=True, altered=lambda setting: counted.update([setting]))
    convert = converter(column(ColumnMeta("c", "text", charset="utf8mb4")), policy)
    assert [convert(form) for form in (b"a\0b\0", b"ab")] == ["a␀b␀", "ab"]
    assert counted == {"nul_characters": 1}


@pytest.mark.parametrize(
    ("meta", "target"),
    [
        (ColumnMeta("c", "tinyint", column_type="tinyint(1)"), "smallint"),
        (ColumnMeta("c", "smallint", unsigned=True), "integer"),
        (ColumnMeta("c", "mediumint", unsigned=True), "integer"),
        (ColumnMeta("c", "int", unsigned=True), "bigint"),
        (ColumnMeta("c", "bigint", unsigned=True), "numeric(20,0)"),
        (ColumnMeta("c", "decimal", precision=65, scale=30), "numeric(65,30)"),
        (ColumnMeta("c", "datetime", fsp=3), "timestamp(3) without time zone"),
        (ColumnMeta("c", "char", length=0, charset="utf8mb4"), "text"),
        (ColumnMeta("c", "varchar", length=9, charset="gbk"), "character varying(9)"),
        (ColumnMeta("c", "vector", length=3), "vector(3)"),
    ],
)
def test_the_target_has_room_for_every_value(meta, target):
    assert column(meta).target_type == target


def test_labels_that_the_catalog_cannot_write_are_not_told():
    """It has a question mark for a character of four bytes: log and catalog would speak of two table versions."""
    logged = column(ColumnMeta("c", "enum", labels=("a", "😀")))
    shown = column(ColumnMeta("c", "enum", labels=("a", "?")))
    assert logged == shown
    assert logged.type.kind is Kind.ENUM
    assert column(ColumnMeta("c", "enum", labels=("a", "é"))).type.allowed == ("a", "é")


def test_types_that_nobody_knows_are_known_as_such():
    assert is_known("point")
    assert not is_known("xmltype")


# --- queries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meta", "expression"),
    [
        (ColumnMeta("a`b", "int"), "`a``b`"),
        (ColumnMeta("c", "float"), "`c` * 1e0"),
        (ColumnMeta("c", "int", column_type="int(5) unsigned zerofill"), "`c` + 0"),
        (ColumnMeta("c", "char", charset="latin1"), "CAST(`c` AS BINARY)"),
        (ColumnMeta("c", "char", charset="utf8mb3"), "`c`"),
        (ColumnMeta("c", "uuid"), "CAST(`c` AS BINARY(16))"),
    ],
)
def test_a_select_asks_for_the_exact_value(meta, expression):
    assert query.select_list([meta]) == expression


@pytest.mark.parametrize(
    ("meta", "value", "sql"),
    [
        (ColumnMeta("c", "bigint"), b"-5", "-5"),
        (ColumnMeta("c", "double"), b"0.1", "0.1e0"),
        (ColumnMeta("c", "varchar", charset="latin1"), "é'".encode(), "_utf8mb4 x'c3a927'"),
        (ColumnMeta("c", "binary", length=2), b"\0'", "x'0027'"),
        (ColumnMeta("c", "bit", length=9), b"\1\0", "CAST(0x0100 AS UNSIGNED)"),
        (ColumnMeta("c", "enum", labels=("a", "b")), b"b", "2"),
        (ColumnMeta("c", "enum", labels=("a", "b")), b"", "0"),
        (ColumnMeta("c", "set", labels=("a", "b", "c")), b"a,c", "5"),
    ],
)
def test_a_value_is_compared_as_the_index_has_it(meta, value, sql):
    assert query.literal(meta, value) == sql


@pytest.mark.parametrize("value", [b"1 OR 1=1", b"", b"0x10"])
def test_what_is_no_number_never_stands_in_a_query(value):
    with pytest.raises(ValueError, match="no number"):
        query.literal(ColumnMeta("c", "int"), value)


# --- character sets, numbers, old times -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "stored", "text"),
    [
        ("latin1", b"\x80\x81\xe9", "€\x81é"),
        ("sjis", b"\x81\x5f\x5c", "\\\\"),
        ("eucjpms", b"\xad\xa1\x8f\xf3\xf3\xf5\xa1\xa1\xc1\x8f\xa2\xb7~", "①ⅰ\ue000\uff5e\uff5e~"),
        ("ujis", b"\x8f\xf5\xa1\xa1\xc0", "\ue3ac\\"),
        ("gb18030", b"\xa8\xbc\x81\x35\xf4\x37", "ḿ\ue7c7"),
        ("utf16le", b"\x3d\xd8\x00\xde", "😀"),
        ("swe7", b"[a`", "Äaé"),
        ("keybcs2", b"\x80", "Č"),
        ("big5", b"\xf9\xd6", "碁"),
    ],
)
def test_text_of_a_character_set_is_what_the_server_takes_it_for(charset, stored, text):
    decode = charsets.decoder(charset)
    assert decode is not None
    assert decode(stored).decode() == text


@pytest.mark.parametrize(("charset", "stored"), [("sjis", b"\xff"), ("eucjpms", b"\x8f\xf3\xa1"), ("utf16", b"\xd8\0")])
def test_bytes_that_are_no_text_are_an_error(charset, stored):
    decode = charsets.decoder(charset)
    assert decode is not None
    with pytest.raises(UnicodeDecodeError):
        decode(stored)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, b"0"), (-0.0, b"-0"), (1e15, b"1e15"), (999999999999999.0, b"999999999999999"), (1e-15, b"0.000000000000001"),
     (1.5e-16, b"1.5e-16"), (0.1, b"0.1"), (123456789012345678.0, b"1.2345678901234568e17"), (5e-324, b"5e-324")],
)  # fmt: skip
def test_a_double_is_written_as_the_server_writes_it(value, text):
    assert numerals.double_text(value) == text


def test_times_of_tables_that_were_made_long_ago_are_read():
    assert temporal.old_datetime_text((20260131123456).to_bytes(8, "little")) == b"2026-01-31 12:34:56"
    assert temporal.old_timestamp_text((1).to_bytes(4, "little")) == b"1970-01-01 00:00:01"
    assert temporal.old_timestamp_text(bytes(4)) == b"0000-00-00 00:00:00"
    assert temporal.old_time_text((-8385959).to_bytes(3, "little", signed=True)) == b"-838:59:59"
