"""Many documents of binary JSON at once: the function for one document is the reference."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.sources.mysql.row_images import images, json_binary, json_columns, rows, splitting
from capture.sources.mysql.row_images.column_meta import ColumnMeta
from capture.sources.mysql.row_images.wire import Wire, WireType
from tests.support import mysql_images
from tests.support import mysql_json as made

SEEDS = st.integers(0, (1 << 32) - 1)


def read(documents, form=json_binary.text):
    raw = b"\xff" + b"\xfe".join(documents) + bytes(32)  # other bytes lie between documents
    ends = np.cumsum([len(document) + 1 for document in documents], dtype=np.int64)
    starts = ends - np.array([len(document) for document in documents], np.int64)
    words = np.ndarray((len(raw) - 7,), "<u8", raw, strides=(1,))
    return json_columns.texts(raw, words, starts, ends, form).to_pylist()


def never(document):
    raise AssertionError(f"read alone: {document!r}")


@settings(max_examples=60)
@given(SEEDS)
def test_documents_of_a_few_shapes_and_of_many_are_read_as_the_server_writes_them(seed):
    random = Random(seed)
    values = []
    for _ in range(random.randint(1, 4)):
        make = made.shape(random)
        values += [make() for _ in range(random.choice([1, 5, 60]))]
    random.shuffle(values)
    documents = list(map(made.stored, values))
    expected = list(map(made.selected, values))
    assert [json_binary.text(document) for document in documents] == expected
    assert read(documents) == expected


@settings(max_examples=60)
@given(SEEDS)
def test_broken_documents_among_others_are_left_to_the_reader_of_one(seed):
    random = Random(seed)
    make = made.shape(random)
    documents = []
    for _ in range(60):
        data = bytearray(made.stored(make()))
        if random.random() < 0.5:
            for _ in range(random.randint(1, 3)):
                data[random.randrange(len(data))] = random.choice([0, 1, 2, 4, 5, 12, 15, 0x7F, 0x80, 0xFF])
        if random.random() < 0.1:
            del data[random.randrange(len(data) + 1) :]
        documents.append(bytes(data))

    def form(document):
        try:
            return json_binary.text(document)
        except (ValueError, IndexError, KeyError):
            return b"refused"

    assert read(documents, form) == list(map(form, documents))


@pytest.mark.parametrize(
    "make",
    [
        lambda i: made.named(state="open", step=i, ok=i % 2 == 0),
        lambda i: made.named(a=[i, None, {"b": "x" * i, "c": [made.Large({"d": 1 << 40 | i})]}], price=made.Price(i)),
        lambda i: ['"\\' * i, "\n\0\x1f" * (i % 3), "é"],
        lambda i: [i / 2, i / 7, 1e100 * i],
        lambda i: made.Large([made.Unsigned(i << 20 | 1 << 19), made.Unsigned(1 << 63), i, i == 3]),
        lambda _: {},
        lambda _: [],
        lambda i: i,
        lambda i: "y" * (i * 400),
    ],
)
def test_documents_of_one_shape_are_never_read_alone(make):
    values = [make(i) for i in range(64)]
    assert read(list(map(made.stored, values)), never) == list(map(made.selected, values))


def test_shapes_that_alternate_come_back_in_order_and_documents_of_no_bytes_are_null():
    values = [[made.named(a=i), made.named(b="é", c=i), [i]][i % 3] for i in range(150)]
    documents = [b"", *map(made.stored, values), b""]
    assert read(documents, never) == [b"null", *map(made.selected, values), b"null"]


def test_no_documents_have_no_texts():
    assert read([]) == []


def test_documents_that_all_differ_are_read_alone_after_a_few_attempts():
    values = [made.named(**{f"k{i}": i}) for i in range(100)]
    read_alone = []

    def form(document):
        read_alone.append(document)
        return json_binary.text(document)

    documents = list(map(made.stored, values))
    assert read(documents, form) == list(map(made.selected, values))
    assert sorted(read_alone) == sorted(documents)


def test_a_document_that_holds_itself_is_refused_though_all_do():
    with pytest.raises(json_binary.JsonError):
        read([bytes.fromhex("0201000700020000")] * 50)


def test_more_values_than_are_walked_are_read_alone():
    values = [list(range(300)) for _ in range(40)]
    assert read(list(map(made.stored, values))) == list(map(made.selected, values))


def test_rows_with_documents_and_without_hold_what_the_reference_reads():
    column = mysql_images.Column(Wire(WireType.JSON, 4), ColumnMeta("", "json"), st.nothing())
    table = mysql_images.table([column, column])
    lines = []
    for i in range(100):
        document = made.named(step=i, state="é" * (i % 5))
        cell = (made.selected(document), len(made.stored(document)).to_bytes(4, "little") + made.stored(document))
        lines.append([cell if i % 3 else None, cell if i % 7 else (b"null", bytes(4))])
    event = rows.event(30, mysql_images.rows_body(2, list(map(mysql_images.image, lines))))
    cut = splitting.splitter(table.wires)(event)
    reader = images.Images(cut, images.fields(table.wires, table.columns))
    read_rows = reader.read(np.arange(len(cut)), reader.starts).images.rows()
    assert read_rows == list(map(mysql_images.row, lines))
    assert read_rows == [rows.row_reader(table)(row).after for row in cut]
