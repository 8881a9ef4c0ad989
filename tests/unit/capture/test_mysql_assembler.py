"""Events of the log into blocks, without a server: what opens, ends and moves transactions."""

from __future__ import annotations

from struct import pack

import pytest

from capture.source import SourceError
from capture.sources.mysql.assembler import Assembler
from capture.sources.mysql.log import binlog
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.log.gtid import GtidPosition
from capture.sources.mysql.log.positions import Standing
from capture.sources.mysql.visibility import Snapshot, begin_of
from schemas.block import Origin, Transaction
from schemas.source_block import source_values
from schemas.table import TableSchema

TABLE = TableSchema("db", "t", (), connector="mariadb")


class Nobody:
    """Follows no table."""

    def follow(self, body):
        return None

    def outdated(self, effect, at):
        return []

    def truncated(self, effect):
        return None

    def concerned(self, effect):
        return []

    def replaced(self, effect, at):
        pass

    def all_names(self):
        return ["db.t"]


class Log:
    """A MariaDB's log as it is written: each event at its place."""

    def __init__(self, assembler, file="log.000007", offset=1_000):
        self.assembler, self.file, self.offset, self.number = assembler, file, offset, 0

    def event(self, kind, body, *, end=True, flags=0):
        size = binlog.HEADER_BYTES + len(body)
        self.offset += size
        self.assembler.feed(
            binlog.Header(1_700_000_000, kind, 1, size, self.offset % (1 << 32) if end else 0, flags), body
        )

    def gtid(self, flags=0):
        self.number += 1
        self.event(binlog.MARIADB_GTID, pack("<QIB", self.number, 0, flags) + bytes(6))

    def query(self, text, database=b"db"):
        self.event(binlog.QUERY, pack("<IIBHH", 1, 0, len(database), 0, 0) + database + b"\0" + text)

    def xid(self):
        self.event(binlog.XID, bytes(8))

    def rotate(self, file, offset=4, *, artificial=False):
        body = pack("<Q", offset) + file.encode()
        if artificial:
            self.assembler.feed(binlog.Header(0, binlog.ROTATE, 1, 19 + len(body), 0, binlog.ARTIFICIAL), body)
        else:
            self.event(binlog.ROTATE, body)
        self.file, self.offset = file, offset


@pytest.fixture
def log():
    return Log(Assembler(Standing(Place.of("log.000007", 1_000), GtidPosition()), Nobody()))


def test_every_transaction_counts_whatever_it_concerns(log):
    positions = []
    for statement in (b"TRUNCATE TABLE x", b"CREATE TABLE y (id int)", b"GRANT ALL ON x TO y"):
        log.gtid(flags=1)
        positions.append(log.assembler.at.position)
        log.query(statement)
    log.gtid()
    log.xid()
    positions.append(log.assembler.at.position)
    assert positions == [1, 2, 3, 4]
    assert log.assembler.standing.dump() == {
        "place": {"file": "log.000007", "offset": log.offset}, "gtids": "0-1-4", "count": 4, "epoch": 0, "born": 0,
    }  # fmt: skip


def test_in_the_middle_of_a_transaction_the_stream_is_resumed_at_its_beginning(log):
    before = log.assembler.take().resume
    log.gtid()
    log.event(binlog.TABLE_MAP, bytes(8) + b"\x02db\0\x01t\0", end=False)
    batch = log.assembler.take()
    assert not batch.between
    assert batch.resume == before
    assert log.assembler.reached == Place.of("log.000007", 1_000)
    log.xid()
    assert log.assembler.reached == Place.of("log.000007", log.offset)
    assert log.assembler.take().between


def test_places_beyond_32_bits_are_added_up():
    log = Log(Assembler(Standing(Place.of("log.1", (1 << 32) - 20), GtidPosition()), Nobody()), "log.1", (1 << 32) - 20)
    log.gtid()
    log.event(binlog.TABLE_MAP, bytes(8) + b"\x02db\0\x01t\0", end=False)
    log.xid()
    assert log.assembler.reached == Place.of("log.1", log.offset)
    assert log.offset > 1 << 32


def test_a_new_file_moves_the_place_and_the_servers_own_announcement_of_the_same_file_does_not(log):
    log.rotate("log.000007", artificial=True)
    assert log.assembler.reached == Place.of("log.000007", 1_000)
    log.offset = 1_000
    log.rotate("log.000008")
    assert log.assembler.reached == Place.of("log.000008", 4)


def test_a_heartbeat_moves_an_idle_stream_and_never_back(log):
    heartbeat = binlog.Header(0, binlog.HEARTBEAT, 1, 0, 5_000, 0)
    log.assembler.feed(heartbeat, b"log.000007")
    assert log.assembler.reached == Place.of("log.000007", 5_000)
    log.assembler.feed(heartbeat._replace(end=4_000), b"log.000007")
    assert log.assembler.reached == Place.of("log.000007", 5_000)
    log.gtid()
    log.assembler.feed(heartbeat._replace(end=9_000), b"log.000007")
    log.xid()
    assert log.assembler.reached < Place.of("log.000007", 9_000)


def test_a_log_that_breaks_off_in_a_transaction_is_an_error(log):
    log.gtid()
    with pytest.raises(SourceError, match="breaks off"):
        log.rotate("log.000008")


def test_an_incident_is_a_loss_of_all_tables(log):
    log.event(binlog.INCIDENT, b"\1\0\0")
    assert list(log.assembler.take().lost) == ["db.t"]


def test_a_snapshot_includes_what_began_before_its_place(log):
    log.gtid(flags=1)
    first = log.assembler.at
    log.query(b"ANALYZE TABLE x")
    between = Place.of("log.000007", log.offset)
    log.gtid(flags=1)
    second = log.assembler.at
    assert begin_of(first.id) == Place.of("log.000007", 1_000)
    assert [Snapshot(between).includes(t) for t in (first, second)] == [True, False]
    assert Snapshot(between).after(between.dump())
    assert not Snapshot(between).after(Place.of("log.000008", 4).dump())
    assert Snapshot(Place.of("log.000010", 4)).includes(second)  # files compare by number


def test_events_say_where_their_transaction_began_and_on_which_server_it_was_made(log):
    log.gtid(flags=1)
    told = source_values(TABLE, "shop", log.assembler.at, Origin.LOG)
    assert {name: told[name] for name in ("server_id", "gtid", "file", "pos")} == {
        "server_id": 1, "gtid": "0-1-1", "file": "log.000007", "pos": 1_000,
    }  # fmt: skip
    assert source_values(TABLE, "shop", Transaction(0, 0, ""), Origin.CHUNK)["server_id"] == 0


def test_a_stream_that_begins_behind_transaction_ids_has_no_place_until_the_server_has_skipped_those():
    """What lies between the head of the file and the first event that is sent was read before, perhaps elsewhere."""
    log = Log(Assembler(Standing(None, GtidPosition.parse("0-1-9")), Nobody()))
    log.rotate("log.000007", artificial=True)
    log.event(binlog.FORMAT, bytes(57), end=False, flags=binlog.ARTIFICIAL)
    assert log.assembler.take().resume["place"] is None
    log.assembler.feed(binlog.Header(0, binlog.HEARTBEAT, 1, 0, 5_000, 0), b"log.000007")
    assert log.assembler.take().resume["place"] == {"file": "log.000007", "offset": 5_000}


def test_on_another_server_positions_go_on_above_all_that_were_given():
    standing = Standing(Place.of("log.1", 5), GtidPosition(), count=(1 << 48) - 1)
    assert standing.elsewhere().position > standing.position
    assert standing.elsewhere().place is None
    assert Standing.load(standing.elsewhere().dump(), GtidPosition.parse) == standing.elsewhere()
