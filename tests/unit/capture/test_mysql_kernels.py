"""Whole columns of MySQL's source forms: the row-wise converters are the reference."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from capture.sources.mysql.kernels import kernel
from capture.sources.mysql.policy import Policy
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.types import column
from capture.sources.mysql.values import converter
from schemas.avro_types import Records, bare_type
from schemas.binary import writer
from schemas.columnar.arrays import Unserved, join
from schemas.columnar.write import Branch, write
from schemas.table import Column
from schemas.values import Verbatim
from tests.support import mysql_images as made


def written(found: Column, forms: list[bytes | None], policy: Policy | None = None) -> list[bytes] | None:
    """Return the Avro bytes that the kernel's column has, or None if it does not serve it."""
    try:
        pieces = write(kernel(found, policy)(pa.array(forms, pa.binary())), Branch(b"\x02", b"\x00"))
    except Unserved:
        return None
    return join(pieces).to_pylist()


def expected(found: Column, forms: list[bytes | None], policy: Policy | None = None) -> list[bytes] | None:
    """Return the Avro bytes of the values one by one, or None if one is verbatim or none of its type."""
    convert, put = converter(found, policy), writer(bare_type(found.type.kind, Records()))
    out = []
    for form in forms:
        try:
            value = None if form is None else convert(form)
        except ValueError:
            return None
        if isinstance(value, Verbatim):
            return None
        out.append(b"\x00" if value is None else b"\x02" + put(value))
    return out


@settings(max_examples=100, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_a_kernel_gives_what_the_converter_gives_or_serves_nothing(data):
    drawn = data.draw(made.columns())
    forms = data.draw(st.lists(st.none() | drawn.cells.map(lambda cell: cell[0]), max_size=5))
    found = column(drawn.meta)
    assert written(found, forms) in (None, expected(found, forms))


@pytest.mark.parametrize(
    ("meta", "forms"),
    [
        (ColumnMeta("c", "int"), [b"-5", None, b"7"]),
        (ColumnMeta("c", "bigint", unsigned=True), [b"7", b"999999999999999999"]),
        (ColumnMeta("c", "decimal", precision=12, scale=2), [b"-1.50", b"0.00"]),
        (ColumnMeta("c", "double"), [b"1e20", b"-0", b"0.1"]),
        (ColumnMeta("c", "float"), [b"0.10000000149011612", None]),
        (ColumnMeta("c", "date"), [b"2026-01-31", b"9999-12-31"]),
        (ColumnMeta("c", "datetime", fsp=3), [b"2026-01-31 12:34:56.789", None]),
        (ColumnMeta("c", "timestamp", fsp=0), [b"2026-01-31 12:34:56", None, b"1970-01-01 00:00:01"]),
        (ColumnMeta("c", "bit", length=10), [b"\x02\x01", b"\x00\xff"]),
        (ColumnMeta("c", "varchar", charset="utf8mb4", length=9), ["é\0😀".encode(), b"", None]),
        (ColumnMeta("c", "varbinary", length=9), [b"\0\xff", b""]),
        (ColumnMeta("c", "enum", charset="utf8mb4", labels=("a",)), [b"a", b""]),
        (ColumnMeta("c", "json"), [b'{"a": 1}']),
        (ColumnMeta("c", "uuid"), [b"00010203-0405-0607-0809-0a0b0c0d0e0f"]),
    ],
)
def test_columns_of_common_types_are_served_as_a_whole(meta, forms):
    found = column(meta)
    assert written(found, forms) == expected(found, forms) is not None


@pytest.mark.parametrize("form", [b"0000-00-00", b"2026-02-31", b"2026-00-01", b"0000-01-01"])
def test_dates_that_no_calendar_has_are_left_to_the_converter(form):
    assert written(column(ColumnMeta("c", "date")), [b"2026-01-01", form]) is None
    moments = [b"2026-01-01 00:00:00", form + b" 00:00:00"]
    assert written(column(ColumnMeta("c", "datetime", fsp=0)), moments) is None
    assert written(column(ColumnMeta("c", "timestamp", fsp=0)), moments) is None


def test_text_with_nul_is_left_to_the_converter_where_a_policy_alters_it():
    found = column(ColumnMeta("c", "text", charset="utf8mb4"))
    policy = Policy(symbol=True)
    assert written(found, [b"ab"], policy) == expected(found, [b"ab"], policy)
    assert written(found, [b"a\0b"], policy) is None
