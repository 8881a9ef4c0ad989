from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capture.sources.postgres.kernels import kernel
from capture.sources.postgres.values import converter
from schemas.avro_types import Records, bare_type
from schemas.binary import MISFIT, writer
from schemas.columnar.arrays import Unserved, join
from schemas.columnar.write import Branch, write
from schemas.table import Column, Kind, ValueType
from schemas.values import Verbatim
from tests.support.strategies import texts

TYPES = [
    ValueType(kind, scale=scale, length=11 if kind is Kind.BITS else None)
    for kind in Kind
    for scale in ((0, 2, 15) if kind is Kind.DECIMAL else (None,))
]
#: Kinds whose ordinary values must be served: the others are converted value by value.
WITHOUT_KERNEL = {Kind.ZONED_TIME, Kind.BITS}

_dates = st.dates().map(lambda day: day.isoformat())
_fractions = st.sampled_from(["", ".1", ".120000", ".000001", ".999999"])
_times = st.builds(
    lambda h, m, s, f: f"{h:02}:{m:02}:{s:02}{f}",
    st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), _fractions,
)  # fmt: skip
_integers = st.integers(-(2**62), 2**62) | st.integers(-300, 300) | st.sampled_from([0, 127, 128, -128, -129, 2**31])


def _decimal(scale: int) -> st.SearchStrategy[str]:
    bound = 10 ** (17 - (1 if scale else 0))
    return st.integers(-bound + 1, bound - 1).map(lambda n: _pointed(n, scale))


def _pointed(number: int, scale: int) -> str:
    digits = f"{abs(number):0{scale + 1}}"
    point = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return ("-" if number < 0 else "") + point


def ordinary(value_type: ValueType) -> st.SearchStrategy[str]:
    """Texts that PostgreSQL sends for the type, all of which a kernel must serve."""
    by_kind = {
        Kind.BOOLEAN: st.sampled_from("tf"),
        Kind.INT16: st.integers(-(2**15), 2**15 - 1).map(str),
        Kind.INT32: st.integers(-(2**31), 2**31 - 1).map(str),
        Kind.INT64: _integers.map(str),
        Kind.FLOAT32: st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda x: f"{x:.9g}"),
        Kind.FLOAT64: st.floats(allow_nan=False, allow_infinity=False).map(repr),
        Kind.BYTES: st.binary(max_size=20).map(lambda data: "\\x" + data.hex()),
        Kind.DECIMAL: _decimal(value_type.scale or 0),
        Kind.VARIABLE_DECIMAL: st.integers(0, 9).flatmap(_decimal),
        Kind.DATE: _dates,
        Kind.MICRO_TIME: _times,
        Kind.MICRO_TIMESTAMP: st.builds("{} {}".format, _dates, _times),
        Kind.ZONED_TIMESTAMP: st.builds("{} {}+00".format, _dates, _times),
        Kind.ZONED_TIME: _times.map("{}+00".format),
        Kind.INTERVAL: st.sampled_from(["P1Y2M3DT4H5M6.7S", "PT0S", "P-1D", "P1M"]),
        Kind.BITS: st.text("01", min_size=11, max_size=11),
        Kind.UUID: st.uuids().map(str),
    }
    return by_kind.get(value_type.kind, texts)


ODD = [
    b"", b"-", b"--1", b"+1", b" 1", b"1 ", b"1_0", b"0x1F", b"-0x1", b"007", b"-0", b"1.", b".5", b"-.5", b"1.5.5", b"1e5",
    b"NaN", b"nan", b"-nan", b"Infinity", b"-Infinity", b"inf", b"infinity", b"-infinity", b"1e400", b"1e39", b"1e-400",
    b"9223372036854775807", b"9223372036854775808", b"99999999999999999999", b"2147483648", b"123.456", b"-9.00",
    b"0000-01-01", b"0001-01-01", b"10000-01-01", b"2024-02-30", b"2024-W01-1", b"0044-03-15 BC", b"20240102  ",
    b"24:00:00", b"12:30", b"12:60:61", b"12-30-45", b"12:30:45.", b"12:30:45.1234567", b"23:59:60", b"12:30:45Z",
    b"2024-01-02 03:04:05", b"2024-01-02T03:04:05", b"2024-01-02 24:00:00", b"2024-01-02 03:04:05+00", b"2024-01-02 03:04",
    b"2024-01-02 03:04:05.5+00", b"2024-01-02 03:04:05+01", b"2024-01-02 03:04:05+00:30", b"0044-03-15 03:04:05+00 BC",
    b"0000-01-01 00:00:00", b"12345-01-01 00:00:00", b"2024-01-02 03:04:05 BC", b"          +00", b"abcdefghij +00",
    "\u00e9123456789 03:04:05+00".encode(), b"\xff", b"\xed\xa0\x80", b"\xc3", b"t", b"f", b"true", b"\\x", b"\\x6", b"\\x6g",
    b"\\xAbCd", b"\\xab cd", b"\\\\xab", b"P", b"p1d", b"1 day", b"01010101010", b"0101", b"2", b"03:04:05+00", b"03:04:05-08:30",
]  # fmt: skip


def written(value_type: ValueType, texts: list[bytes | None]) -> list[bytes] | None:
    """Return the Avro bytes that the kernel's column has, or None if it does not serve it."""
    try:
        pieces = write(kernel(value_type)(pa.array(texts, pa.binary())), Branch(b"\x02", b"\x00"))
    except Unserved:
        return None
    return join(pieces).to_pylist()


def expected(value_type: ValueType, texts: list[bytes | None]) -> list[bytes] | None:
    """Return the Avro bytes of the values one by one, or None if one is verbatim or refused."""
    convert, put = converter(Column("c", value_type)), writer(bare_type(value_type.kind, Records()))
    out = []
    for text in texts:
        try:
            value = None if text is None else convert(text)
            out.append(b"\x00" if value is None else b"\x02" + put(value))
        except MISFIT:
            return None
        if isinstance(value, Verbatim):
            return None
    return out


@pytest.mark.parametrize("value_type", TYPES, ids=str)
def test_ordinary_values_are_served_and_have_the_bytes_of_the_row_wise_converter(value_type: ValueType) -> None:
    @given(st.lists(st.none() | ordinary(value_type).map(str.encode), max_size=12))
    @example([])
    @example([None])
    def check(texts: list[bytes | None]) -> None:
        served = written(value_type, texts)
        assert served == expected(value_type, texts) or (value_type.kind in WITHOUT_KERNEL and served is None)

    check()


@pytest.mark.parametrize("value_type", TYPES, ids=str)
def test_whatever_a_kernel_serves_has_the_bytes_of_the_row_wise_converter(value_type: ValueType) -> None:
    hostile = (
        st.sampled_from(ODD) | st.binary(max_size=12) | st.text("0123456789-+:. TZxeEN", max_size=26).map(str.encode)
    )

    @given(st.lists(st.none() | hostile | ordinary(value_type).map(str.encode), min_size=1, max_size=4))
    def check(texts: list[bytes | None]) -> None:
        assert written(value_type, texts) in (None, expected(value_type, texts))

    check()


@pytest.mark.parametrize("value_type", TYPES, ids=str)
def test_odd_values_are_served_only_with_the_bytes_of_the_row_wise_converter(value_type: ValueType) -> None:
    for text in ODD:
        for column in ([text], [None, text], [text, text]):
            assert written(value_type, column) in (None, expected(value_type, column))


def test_every_day_of_four_centuries_is_served() -> None:
    days = [dt.date(1, 1, 1) + dt.timedelta(n) for n in range(0, 3_652_058, 97)]
    texts = [day.isoformat().encode() for day in days]
    assert written(ValueType(Kind.DATE), texts) == expected(ValueType(Kind.DATE), texts)


def test_a_column_that_is_a_slice_of_a_longer_one_is_read_from_its_own_place() -> None:
    texts = [b"10.25", b"-3.50", None, b"99999.99"]
    value_type = ValueType(Kind.DECIMAL, scale=2)
    whole = pa.array([b"7.77", *texts], pa.binary()).slice(1)
    pieces = write(kernel(value_type)(whole), Branch(b"\x02", b"\x00"))
    assert join(pieces).to_pylist() == expected(value_type, texts)
