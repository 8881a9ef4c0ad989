"""Which tables of MySQL and MariaDB cannot be captured as they stand."""

from __future__ import annotations

import pytest

from capture.sources.mysql.catalog import TableFacts
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.tables import Described, unfit


def described(*columns: ColumnMeta) -> Described:
    return Described(TableFacts("shop", "t", columns, {}, None), "InnoDB", "BASE TABLE")


def test_an_ordinary_table_is_captured():
    columns = ColumnMeta("d", "datetime", column_type="datetime /* mariadb-5.3 */", fsp=0), ColumnMeta("i", "int")
    assert unfit(described(*columns)) is None


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (ColumnMeta("c", "time", column_type="time(3) /* mariadb-5.3 */", fsp=3), "fractions of seconds"),
        (ColumnMeta("c", "xmltype"), "of type xmltype"),
        (ColumnMeta("c", "char", charset="klingon"), "the character set klingon"),
    ],
)
def test_a_column_whose_values_cannot_be_read_keeps_its_table_out(column, reason):
    found = unfit(described(ColumnMeta("i", "int"), column))
    assert found is not None
    assert "column c" in found[0]
    assert reason in found[0]
