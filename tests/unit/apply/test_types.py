from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apply.types import date_text, decimal_text, renderer, time_text, timestamp_text
from schemas.table import Kind, ValueType

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - timestamps without zone


def unscaled(n: int) -> bytes:
    return n.to_bytes((8 + (n + (n < 0)).bit_length()) // 8, "big", signed=True)


@given(st.integers(), st.integers(0, 40))
def test_a_decimal_keeps_its_value_and_its_scale(n: int, scale: int) -> None:
    value = Decimal(decimal_text(n, scale).decode())

    assert value == Decimal(n).scaleb(-scale) or len(str(n)) > 20
    assert -value.as_tuple().exponent == scale
    assert int((value.as_tuple().digits and "".join(map(str, value.as_tuple().digits))) or 0) == abs(n)


@given(st.integers(), st.integers(0, 10))
def test_both_kinds_of_decimal_agree(n: int, scale: int) -> None:
    fixed = renderer(ValueType(Kind.DECIMAL, precision=100, scale=scale))(unscaled(n))

    assert fixed == renderer(ValueType(Kind.VARIABLE_DECIMAL))({"scale": scale, "value": unscaled(n)})


@given(st.dates())
def test_dates_are_iso(day: dt.date) -> None:
    assert date_text((day - EPOCH.date()).days) == day.isoformat().encode()


@pytest.mark.parametrize(
    ("days", "text"),
    [(-719_529, b"0002-12-31 BC"), (-719_528, b"0001-01-01 BC"), (2_932_897, b"10000-01-01")],
)
def test_dates_beyond_the_common_calendar_are_as_postgresql_writes_them(days: int, text: bytes) -> None:
    assert date_text(days) == text


@given(st.datetimes())
def test_timestamps_keep_their_microseconds(moment: dt.datetime) -> None:
    micros = (moment - EPOCH) // dt.timedelta(microseconds=1)

    assert dt.datetime.fromisoformat(timestamp_text(micros).decode()) == moment


def test_a_timestamp_before_christ_has_its_era_at_the_end() -> None:
    assert timestamp_text(-719_528 * 86_400_000_000 + 1) == b"0001-01-01 00:00:00.000001 BC"


@given(st.times())
def test_times_keep_their_microseconds(time: dt.time) -> None:
    micros = ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + time.microsecond

    assert dt.time.fromisoformat(time_text(micros).decode()) == time


@given(st.floats(), st.sampled_from([Kind.FLOAT32, Kind.FLOAT64]))
def test_floats_keep_every_bit_but_those_of_nan(value: float, kind: Kind) -> None:
    again = float(renderer(ValueType(kind))(value))

    assert math.isnan(again) if math.isnan(value) else struct.pack("d", again) == struct.pack("d", value)


@given(st.integers(1, 70), st.data())
def test_bits_are_written_from_the_last_bit_backwards(length: int, data: st.DataObject) -> None:
    text = data.draw(st.text("01", min_size=length, max_size=length))
    packed = int(text, 2).to_bytes((length + 7) // 8, "little")

    assert renderer(ValueType(Kind.BITS, length=length))(packed) == text.encode()


@given(st.binary())
def test_bytes_are_hex_behind_an_escaped_backslash(value: bytes) -> None:
    text = renderer(ValueType(Kind.BYTES))(value)

    assert text.startswith(rb"\\x")
    assert bytes.fromhex(text[3:].decode()) == value


def test_text_never_looks_like_null_or_like_a_new_row() -> None:
    render = renderer(ValueType(Kind.STRING))

    assert render("\\N") == rb"\\N"
    assert render("a\tb\nc") == rb"a\tb\nc"
    assert render("") == b""


def test_booleans_and_integers() -> None:
    assert [renderer(ValueType(Kind.BOOLEAN))(b) for b in (True, False)] == [b"t", b"f"]
    assert renderer(ValueType(Kind.INT64))(-(2**63)) == b"-9223372036854775808"
