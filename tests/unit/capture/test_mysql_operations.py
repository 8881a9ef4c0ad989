"""What lies between a saved position and a mark in a MySQL's log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.log.gtid import GtidSet
from capture.sources.mysql.operations import MySQLMark
from capture.sources.mysql.server import Server
from schemas.positions import StreamRecord

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
SERVER = Server(
    mariadb=False, version=(9, 7), uid="here", server_id=1, gtids=True, lock_free=False, collations={}
)  # fmt: skip
FILES = [("binlog.000008", 1_000), ("binlog.000009", 500)]
MARK = MySQLMark(SERVER, Place.of("binlog.000009", 500), GtidSet.parse(f"{UUID}:1-9"), FILES)


def saved(
    file: str | None, offset: int = 0, gtids: str = "", server: str = "here", kind: str = "mysql"
) -> StreamRecord:
    place = {"file": file, "offset": offset} if file else None
    return StreamRecord(
        run=1, source="s", incarnation=1, resume={"place": place, "gtids": gtids}, reached={},
        identity={"server": server, "kind": kind},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "missing"),
    [
        (saved("binlog.000009", 500), None),
        (saved("binlog.000010", 4), None),
        (saved("binlog.000009", 499), "1 bytes of log"),
        (saved("binlog.000008", 900), "600 bytes of log"),
    ],
)
def test_on_one_server_places_in_its_log_tell(stream: StreamRecord, missing: str | None) -> None:
    assert MARK.missing(stream) == missing


@pytest.mark.parametrize(
    ("stream", "missing"),
    [
        (saved("binlog.000999", 4, f"{UUID}:1-9", server="there"), None),
        (saved("binlog.000999", 4, f"{UUID}:1-8", server="there"), "the log of another server"),
        (saved(None, 0, f"{UUID}:1-9"), None),
        (saved(None, 0, f"{UUID}:1-8"), "the log of another server"),
        (saved("binlog.000999", 4, f"{UUID}:1-9", server="there", kind="mariadb"), "the log of another server"),
    ],
)
def test_places_of_another_server_mean_nothing_and_transaction_ids_tell(
    stream: StreamRecord, missing: str | None
) -> None:
    assert MARK.missing(stream) == missing


def test_without_transaction_ids_the_log_of_another_server_tells_nothing() -> None:
    mark = replace(MARK, server=replace(SERVER, gtids=False))

    assert mark.missing(saved("binlog.000999", 4, server="there")) == "the log of another server"
