"""TABLE_MAP_EVENT: bodies that MySQL 9.7 and MariaDB 11.4 logged."""

from __future__ import annotations

import pytest

from capture.sources.mysql.row_images import table_map
from capture.sources.mysql.row_images.table_map import TableMapError
from capture.sources.mysql.row_images.wire import Wire, WireType

COLLATIONS = {8: "latin1", 45: "utf8mb4", 63: "binary", 255: "utf8mb4"}

#: CREATE TABLE a (id int PRIMARY KEY, g point, t varchar(10) CHARACTER SET latin1, u text, b blob) in each.
WITH_GEOMETRY = {
    True: "010000000000" "0100026767000161000503ff0ffcfc05040a0002021e01010003043f082d3f070101040b0269640167017401750162080100",
    False: "010000000000"
    "0100026767000161000503ff0ffcfc05040a0002021e010100030508fcff003f070101040b02696401670174017501620801000c01f8",
}  # fmt: skip
#: CREATE TABLE y (id int PRIMARY KEY, y year, u int unsigned, e enum('a') CHARACTER SET latin1, s set('b')).
WITH_LABELS = (
    "020000000000"
    "01000267670001790005030d03fefe04f701f8011e010160040b02696401790175016501730b0408fcff00050301016206030101610801000c01f8"
)
#: CREATE TABLE v (id int PRIMARY KEY, g vector(3), t varchar(10) CHARACTER SET latin1, j json, u text, b blob).
WITH_VECTOR = (
    "030000000000"
    "0100026767000176000603f20ff5fcfc06040a000402023e01010003063f08fcff003f0d0103040d02696401670174016a017501620801000c01fc"
)


def read(body: str, *, mariadb: bool = False) -> table_map.TableMap:
    return table_map.read(bytes.fromhex(body), COLLATIONS, mariadb=mariadb)


@pytest.mark.parametrize("mariadb", [True, False])
def test_each_kind_of_server_counts_text_in_its_own_way(mariadb):
    found = read(WITH_GEOMETRY[mariadb], mariadb=mariadb)
    assert (found.table_id, found.database, found.table, found.full) == (1, "gg", "a", True)
    assert [(c.name, c.data_type, c.charset, c.length) for c in found.columns] == [
        ("id", "int", None, None),
        ("g", "point", None, None),
        ("t", "varchar", "latin1", 10),
        ("u", "text", "utf8mb4", None),
        ("b", "blob", None, None),
    ]
    assert [c.key_position for c in found.columns] == [1, None, None, None, None]
    assert [c.nullable for c in found.columns] == [False, True, True, True, True]
    assert found.wires == (
        Wire(WireType.LONG), Wire(WireType.GEOMETRY, 4), Wire(WireType.VARCHAR, 10), Wire(WireType.BLOB, 2),
        Wire(WireType.BLOB, 2),
    )  # fmt: skip


def test_signs_and_labels_are_those_of_their_columns():
    columns = read(WITH_LABELS).columns
    assert [c.unsigned for c in columns] == [False, True, True, False, False]
    assert [(c.data_type, c.charset, c.labels) for c in columns[3:]] == [
        ("enum", "latin1", ("a",)),
        ("set", "utf8mb4", ("b",)),
    ]


def test_a_vector_is_among_the_text_and_has_no_character_set():
    columns = read(WITH_VECTOR).columns
    assert [(c.data_type, c.charset, c.length) for c in columns[1:]] == [
        ("vector", None, 3),
        ("varchar", "latin1", 10),
        ("json", None, None),
        ("text", "utf8mb4", None),
        ("blob", None, None),
    ]


def test_without_full_metadata_there_are_no_columns_and_the_map_says_so():
    body = "01000000000001000267670001610001030001"
    found = read(body)
    assert not found.full
    assert found.wires == (Wire(WireType.LONG),)


def test_an_unknown_collation_is_an_error_that_names_the_column():
    with pytest.raises(TableMapError, match="column t: unknown collation 8"):
        table_map.read(bytes.fromhex(WITH_VECTOR), {63: "binary", 255: "utf8mb4"}, mariadb=False)


@pytest.mark.parametrize("end", range(6, len(WITH_LABELS) // 2 - 1, 5))
def test_an_event_that_ends_too_soon_is_refused_or_has_no_full_metadata(end):
    try:
        found = table_map.read(bytes.fromhex(WITH_LABELS)[:end], COLLATIONS, mariadb=False)
    except TableMapError:
        return
    assert not found.full or end > 62
