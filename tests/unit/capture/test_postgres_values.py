"""Text of PostgreSQL becomes Avro values without loss, and what no Avro type can hold goes as it was written."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.sources.postgres.values import converter
from schemas.table import Column, Kind, ValueType
from schemas.values import Verbatim

MIDNIGHT_1970 = datetime(1970, 1, 1)  # noqa: DTZ001 - a timestamp without time zone


def convert(text: str, kind: Kind, **parameters: int) -> object:
    return converter(Column("c", ValueType(kind, **parameters)))(text.encode())


def fraction(us: int) -> str:
    """Microseconds as the server writes them: without zeros at the end."""
    return f".{us:06}".rstrip("0").rstrip(".") if us else ""


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_a_numeric_of_a_fixed_scale_is_its_unscaled_value_in_the_fewest_bytes(value):
    data = convert(f"{value:f}", Kind.DECIMAL, precision=20, scale=4)

    assert isinstance(data, bytes)
    number = int.from_bytes(data, "big", signed=True)
    assert Decimal(number).scaleb(-4) == value
    assert len(data) == 1 or not -(2 ** (8 * len(data) - 9)) <= number < 2 ** (8 * len(data) - 9)


@given(sign=st.sampled_from(["", "-"]), whole=st.integers(0, 10**40), digits=st.text("0123456789", max_size=40))
def test_a_numeric_of_any_scale_keeps_the_digits_it_was_written_with(sign, whole, digits):
    data = convert(f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}", Kind.VARIABLE_DECIMAL)

    assert isinstance(data, dict)
    assert data["scale"] == len(digits)
    assert int.from_bytes(data["value"], "big", signed=True) == int(f"{sign}{whole}{digits}")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "9" * 5000])
@pytest.mark.parametrize("kind", [Kind.DECIMAL, Kind.VARIABLE_DECIMAL])
def test_a_numeric_that_is_no_number_or_endless_goes_verbatim(kind, text):
    assert convert(text, kind, precision=10, scale=0) == Verbatim(text)
    assert isinstance(convert(text, kind, precision=10, scale=0), Verbatim)


def test_a_numeric_of_another_scale_than_the_column_goes_verbatim():
    assert isinstance(convert("1.5", Kind.DECIMAL, precision=10, scale=2), Verbatim)


@given(day=st.dates())
def test_a_date_is_its_days_since_1970(day):
    assert convert(day.isoformat(), Kind.DATE) == (day - date(1970, 1, 1)).days


@given(moment=st.datetimes())
def test_a_timestamp_is_its_microseconds_since_1970(moment):
    text = moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%d %H:%M:%S") + fraction(moment.microsecond)

    assert convert(text, Kind.MICRO_TIMESTAMP) == (moment - MIDNIGHT_1970) // timedelta(microseconds=1)


@given(us=st.integers(0, 86_399_999_999))
def test_a_time_is_its_microseconds_since_midnight(us):
    seconds, rest = divmod(us, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction(rest)}"

    assert convert(text, Kind.MICRO_TIME) == us


def test_a_zoned_timestamp_is_written_as_iso_8601_in_utc():
    assert convert("2024-02-29 23:59:59.5+00", Kind.ZONED_TIMESTAMP) == "2024-02-29T23:59:59.5Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12:34:56+00", "12:34:56Z"), ("12:34:56.7+02", "12:34:56.7+02:00"), ("00:00:00-03:30", "00:00:00-03:30")],
)
def test_a_zoned_time_has_an_offset_of_hours_and_minutes(text, expected):
    assert convert(text, Kind.ZONED_TIME) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.DATE, "infinity"), (Kind.DATE, "-infinity"), (Kind.DATE, "0044-03-15 BC"), (Kind.DATE, "12024-01-01"),
        (Kind.MICRO_TIMESTAMP, "infinity"), (Kind.MICRO_TIMESTAMP, "-infinity"),
        (Kind.MICRO_TIMESTAMP, "0044-03-15 00:00:00 BC"), (Kind.MICRO_TIMESTAMP, "12024-01-01 00:00:00"),
        (Kind.ZONED_TIMESTAMP, "infinity"), (Kind.ZONED_TIMESTAMP, "0044-03-15 00:00:00+00 BC"),
        (Kind.ZONED_TIMESTAMP, "12024-01-01 00:00:00+00"),
        (Kind.MICRO_TIME, "24:00:00"), (Kind.ZONED_TIME, "24:00:00+00"), (Kind.ZONED_TIME, "12:00:00+01:02:03"),
        (Kind.INTERVAL, "infinity"), (Kind.INTERVAL, "-infinity"),
    ],
)  # fmt: skip
def test_a_time_outside_the_calendar_goes_verbatim(kind, text):
    value = convert(text, kind)

    assert isinstance(value, Verbatim)
    assert value == text


@given(data=st.binary())
def test_bytes_come_out_of_their_hexadecimal_form(data):
    assert convert("\\x" + data.hex(), Kind.BYTES) == data


@given(bits=st.text("01", min_size=1, max_size=70))
def test_the_last_bit_of_a_bit_string_is_bit_zero(bits):
    data = convert(bits, Kind.BITS, length=len(bits))

    assert isinstance(data, bytes)
    assert len(data) == (len(bits) + 7) // 8
    assert f"{int.from_bytes(data, 'little'):0{len(bits)}b}" == bits


@given(value=st.floats())
def test_a_double_comes_back_bit_by_bit(value):
    text = repr(value).replace("inf", "Infinity").replace("nan", "NaN")

    assert repr(convert(text, Kind.FLOAT64)) == repr(value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Kind.BOOLEAN, "t", True), (Kind.BOOLEAN, "f", False), (Kind.INT16, "-32768", -32768),
        (Kind.INT64, "9223372036854775807", 2**63 - 1), (Kind.STRING, "Zoë\n", "Zoë\n"),
        (Kind.JSON, '{"a": 1.00}', '{"a": 1.00}'), (Kind.INTERVAL, "P1Y2M-3DT4H-0.5S", "P1Y2M-3DT4H-0.5S"),
        (Kind.UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (Kind.ENUM, "sad", "sad"),
    ],
)  # fmt: skip
def test_plain_values_are_what_they_say(kind, text, expected):
    assert convert(text, kind) == expected


def test_every_kind_has_a_converter():
    for kind in Kind:
        assert callable(converter(Column("c", ValueType(kind, precision=5, scale=2, length=3))))
