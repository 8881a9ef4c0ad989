"""Rows off the wire in stretches, into the spool file and out of it by column: the values of a row-wise reading."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pymysql
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pymysql.connections import Connection

from capture.sources.mysql import chunk_file, row_packets
from capture.sources.mysql.row_images import forms
from capture.sources.mysql.row_images.column_meta import ColumnMeta

MIB = 1 << 20
#: Sizes where the form of a length changes, and where a row of them does not fit into a small stretch or packet.
SIZES = [0, 1, 126, 250, 251, 252, 255, 256, 400, 511, 512, 1000, 3000]
values = st.none() | st.binary(max_size=40) | st.sampled_from(SIZES).map(bytes) | st.just(b"\xfb\xfe\xff\0\n\t\\")


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, list[tuple[bytes | None, ...]]]:
    width = draw(st.integers(1, 4))
    return width, draw(st.lists(st.tuples(*[values] * width), max_size=15))


class Wire(io.RawIOBase):
    """What a server sent, arriving in pieces. Behind it the server waits for the next question, or it is gone."""

    def __init__(self, data: bytes, piece: int, *, gone: bool) -> None:
        self._data, self._piece, self._gone = io.BytesIO(data), piece, gone

    def readable(self) -> bool:
        return True

    def readinto(self, room) -> int:
        part = self._data.read(min(self._piece, len(room)))
        assert part or self._gone, "this would wait for ever"
        room[: len(part)] = part
        return len(part)


class Socket:
    """Takes whatever is sent."""

    def settimeout(self, _seconds) -> None: ...
    def sendall(self, _data) -> None: ...
    def close(self) -> None: ...


def connection(answer: bytes, piece: int = MIB, *, gone: bool = False) -> Connection:
    made = Connection(defer_connect=True)
    made._sock = Socket()
    made._current_timeout = made._read_timeout = made._write_timeout = None
    made._rfile = io.BufferedReader(Wire(answer, piece, gone=gone))
    return made


def packets(payloads: list[bytes], most: int = 0xFFFFFF) -> bytes:
    """Return payloads as packets; one that is as long as a packet may be, or longer, goes on in the next."""
    out, number = [], 1
    for payload in payloads:
        for at in range(0, len(payload) + 1, most):
            part = payload[at : at + most]
            out.append(struct.pack("<I", len(part) | (number & 0xFF) << 24) + part)
            number += 1
    return b"".join(out)


END = b"\xfe\0\0\2\0"


def answer(width: int, rows: list[bytes], end: bytes = END, most: int = 0xFFFFFF) -> bytes:
    return packets([bytes([width]), *[b"\3def"] * width, END, *rows, end], most)


def through_a_file(conn: Connection, width: int) -> list[tuple[bytes | None, ...]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "spool")
        with path.open("wb") as file:
            for stretch in row_packets.received(conn, "SELECT"):
                row_packets.write(file, stretch)
        return [row for images in chunk_file.file_images(path, width) for row in images.rows()]


def received(conn: Connection) -> list[bytes]:
    return [row for stretch in row_packets.received(conn, "SELECT") for row in stretch.rows()]


@given(tables(), st.sampled_from([1, 7, 90, 700]))
@example((1, [(bytes(size),) for size in (*SIZES, 65535, 65536)] + [(None,)] * 3), 997)
@example((2, [(b"", bytes(size)) for size in range(500, 520)]), 512)
def test_rows_come_out_as_they_went_in_however_they_arrive(table, piece):
    width, rows = table
    sent = answer(width, [row_packets.build(row) for row in rows], most=2048)
    with patch.multiple(row_packets, _STRETCH_BYTES=1024, _ROOM_BYTES=128, _LARGEST_PACKET=2048):
        assert through_a_file(connection(sent, piece), width) == rows


@pytest.mark.parametrize("size", [MIB - 9, MIB - 8, MIB, 0xFFFFFF - 4, 0xFFFFFF, 0xFFFFFF + 1, 2 * 0xFFFFFF - 4])
def test_a_row_larger_than_a_stretch_or_a_packet_keeps_its_neighbours(size):
    rows = [(b"1", b"before"), (b"2", b"\xfe" * size), (None, b"behind"), (b"4", None)]
    sent = answer(2, [row_packets.build(row) for row in rows])
    assert through_a_file(connection(sent), 2) == rows


def test_a_first_value_of_sixteen_megabytes_is_not_taken_for_the_end_of_the_rows():
    rows = [(b"\xff" * (1 << 24),), (b"\xfe" * 8,)]
    assert through_a_file(connection(answer(1, [row_packets.build(row) for row in rows])), 1) == rows


@given(tables(), st.data())
def test_rows_are_the_same_whether_they_are_cut_together_or_one_by_one(table, data):
    _, rows = table
    assume(rows)
    whole = row_packets.stretch([row_packets.build(row) for row in rows])
    wide = data.draw(st.integers(1, 6))
    assert [row_packets.parse(row) for row in whole.rows()] == rows
    with TemporaryDirectory() as folder:
        path = Path(folder, "spool")
        with path.open("wb") as file:
            row_packets.write(file, whole)
        # Of a width that is not theirs no columns are made: the reference has the last word.
        assert [row for images in chunk_file.file_images(path, wide) for row in images.rows()] == rows


def test_what_the_server_says_instead_of_the_next_row_is_raised():
    killed = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    conn = connection(answer(1, [b"\1a", b"\1b"], killed))
    with pytest.raises(pymysql.err.OperationalError) as raised:
        received(conn)
    assert raised.value.args[0] == 1317


@pytest.mark.parametrize("cut", [1, 5, 8, 9, 12])
def test_rows_that_stop_amid_a_packet_are_a_lost_connection(cut):
    conn = connection(answer(1, [b"\1a", b"\1b"])[:-cut], gone=True)
    with pytest.raises(pymysql.err.OperationalError) as raised:
        received(conn)
    assert raised.value.args[0] == 2013
    assert not conn.open


def test_a_large_row_that_stops_is_a_lost_connection():
    conn = connection(answer(1, [row_packets.build((bytes(3 * MIB),))])[: 2 * MIB], gone=True)
    with pytest.raises(pymysql.err.OperationalError) as raised:
        received(conn)
    assert raised.value.args[0] == 2013


@pytest.mark.parametrize("row", [b"\xff", b"\2a", b"\xfe" + b"\xff" * 8, b"\xfc\1", b"\1a\1"])
def test_bytes_that_are_no_values_are_not_made_columns(row):
    whole = row_packets.stretch([b"\1a", row, b"\1a"])
    padded = chunk_file.np.frombuffer(bytes(whole.data) + bytes(chunk_file._PADDING), chunk_file.np.uint8)
    starts = chunk_file.np.array(whole.starts, chunk_file.np.int64)
    with pytest.raises(chunk_file.Unserved):
        chunk_file._cut(starts, padded, 1)


def test_values_in_another_form_than_the_servers_text_are_changed_row_by_row():
    change = row_packets.formed([None, bytes.upper], ascii_is_itself=False)
    assert change is not None
    changed = change(row_packets.stretch([row_packets.build(row) for row in [(b"a", b"b" * 300), (b"c", None)]]))
    assert [row_packets.parse(row) for row in changed.rows()] == [(b"a", b"B" * 300), (b"c", None)]
    assert row_packets.formed([None, None], ascii_is_itself=True) is None


text = st.text(st.characters(codec="latin-1"), max_size=300) | st.sampled_from(["a" * 200, "\xfb", "\x80", "", "\x00"])


@given(
    st.lists(
        st.tuples(st.none() | text.map(lambda t: t.encode("latin-1")), st.none() | st.binary(max_size=9)), min_size=1
    )
)
def test_text_in_a_character_set_that_keeps_ascii_is_decoded_wherever_it_is_not_ascii(rows):
    change = row_packets.formed([lambda data: data.decode("latin-1").encode(), None], ascii_is_itself=True)
    assert change is not None
    changed = change(row_packets.stretch([row_packets.build(row) for row in rows]))
    expected = [(None if first is None else first.decode("latin-1").encode(), other) for first, other in rows]
    assert [row_packets.parse(row) for row in changed.rows()] == expected


@pytest.mark.parametrize(
    ("data_type", "charset", "kept"),
    [("varchar", "latin1", True), ("int", None, True), ("varchar", "utf16", False), ("uuid", None, False),
     ("varchar", "utf8mb4", True), ("char", "gbk", True)],
)  # fmt: skip
def test_what_leaves_ascii_alone_is_known_by_type_and_character_set(data_type, charset, kept):
    meta = ColumnMeta("c", data_type, data_type, charset=charset)
    assert forms.keeps_ascii(meta) is kept
    form = forms.selected(meta)
    every = bytes(range(128))
    assert not kept or form is None or form(every) == every
