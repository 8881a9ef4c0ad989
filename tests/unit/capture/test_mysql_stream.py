"""The replication connection of MySQL over a socket of our own: packets into events."""

from __future__ import annotations

import socket
import zlib
from random import Random
from struct import pack
from types import SimpleNamespace

import pytest

from capture.source import SourceUnavailable
from capture.sources.mysql import stream
from capture.sources.mysql.log import binlog

SMALL_PACKET = 300


class Sink:
    rows, between = 0, True

    def __init__(self):
        self.events = []

    def feed(self, head, body):
        self.events.append((head.kind, body))


@pytest.fixture
def wire(monkeypatch):
    """Give a stream, and the socket of its server; packets are split where they are larger than some hundred bytes.

    So is the buffer: what does not fit comes all the time.
    """
    monkeypatch.setattr(stream, "_LARGEST_PACKET", SMALL_PACKET)
    monkeypatch.setattr(stream, "_BUFFER_BYTES", 1_000)
    monkeypatch.setattr(stream, "_ROOM_BYTES", 100)
    ours, server = socket.socketpair()
    monkeypatch.setattr(stream, "connect", lambda *_, **__: SimpleNamespace(_sock=ours))
    yield stream.Stream("", "test", None, 1, 60), server
    ours.close()
    server.close()


def packets(content):
    """A packet, split where it is too large; one that fills its last part is followed by an empty one."""
    out = b""
    for number, at in enumerate(range(0, len(content) + 1, SMALL_PACKET)):
        part = content[at : at + SMALL_PACKET]
        out += len(part).to_bytes(3, "little") + bytes([number % 256]) + part
    return out


def event(kind, body, *, checksum):
    head = pack("<IBIIIH", 0, kind, 1, 19 + len(body) + 4 * checksum, 0, 0)
    return head + body + (zlib.crc32(head + body).to_bytes(4, "little") if checksum else b"")


def format_event(*, checksums):
    return event(binlog.FORMAT, bytes(57) + bytes([checksums]), checksum=True)


@pytest.mark.parametrize("checksums", [True, False])
def test_events_of_any_size_come_whole_in_pieces_of_any_size(wire, checksums):
    reader, server = wire
    random = Random(7)
    sent = [
        (random.choice([30, 19, 2]), random.randbytes(random.choice([0, 5, 255, 260, 276, 280, 281, 600, 1_500])))
        for _ in range(200)
    ]
    data = packets(b"\0" + format_event(checksums=checksums))
    data += b"".join(packets(b"\0" + event(kind, body, checksum=checksums)) for kind, body in sent)
    sink, at = Sink(), 0
    while at < len(data):
        size = random.choice([1, 3, 4, 50, 1_000, 10_000])
        server.sendall(data[at : at + size])
        at += size
        reader.drain(sink, 1)
    reader.drain(sink, 1_000)
    assert [kind for kind, _ in sink.events][:1] == [binlog.FORMAT]
    assert sink.events[1:] == sent
    assert len(reader._buffer) == 1_000, "it is as small as ever behind large packets"


def test_an_event_with_a_wrong_checksum_ends_the_connection(wire):
    reader, server = wire
    broken = bytearray(event(30, b"some rows", checksum=True))
    broken[25] ^= 1
    server.sendall(packets(b"\0" + format_event(checksums=True)) + packets(b"\0" + broken))
    with pytest.raises(SourceUnavailable, match="wrong checksum"):
        reader.drain(Sink(), 1_000)


def test_a_server_that_refuses_to_go_on_or_hangs_up_ends_the_connection(wire):
    reader, server = wire
    server.sendall(packets(b"\xff" + (1045).to_bytes(2, "little") + b"#28000" + b"no"))
    with pytest.raises(SourceUnavailable, match="error 1045: no"):
        reader.drain(Sink(), 1)
    server.close()
    with pytest.raises(SourceUnavailable, match="closed"):
        reader.drain(Sink(), 1)
