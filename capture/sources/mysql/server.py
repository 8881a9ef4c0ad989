"""What a server is: MariaDB or MySQL, which one, how it numbers transactions, and where its log stands now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql.cursors import DictCursor

from capture.source import SourceError
from capture.sources.mysql.faults import translated
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.log.gtid import GtidPosition, GtidSet
from capture.sources.mysql.row_images.table_map import collations_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymysql.connections import Connection

Gtids = GtidSet | GtidPosition

#: MySQL renamed the statement in 8.2; MariaDB kept it.
_STATUS: Final = ("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS")
_SYNTAX_ERROR: Final = 1064
#: MariaDB shows every source only if asked for all; MySQL renamed its statement in 8.0.22.
_REPLICATIONS: Final = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
_LOGS_REPLICATED: Final = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_slave_updates', 'log_replica_updates')"""

#: A server whose log does not have what it replicates, and what mends that.
SILENT_REPLICA: Final = (
    "the server is a replica that does not log what it replicates",
    "start it with log_slave_updates, or read from its primary",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it is while we are connected.

    ``uid`` is its own for ever (MySQL: server_uuid). ``gtids``: transactions have global ids. ``lock_free`` says that
    a consistent snapshot knows its place in the log by itself (MariaDB, Percona Server).
    """

    mariadb: bool
    version: tuple[int, ...]
    uid: str
    server_id: int
    gtids: bool
    lock_free: bool
    collations: Mapping[int, str]

    @property
    def kind(self) -> str:
        """Its name in configuration and messages."""
        return "mariadb" if self.mariadb else "mysql"

    def parse(self, gtids: str) -> Gtids:
        """Return the set or position of its text form."""
        return GtidPosition.parse(gtids) if self.mariadb else GtidSet.parse(gtids)


def inspect(conn: Connection[Any]) -> Server:
    """Return what a server says of itself; raises SourceError or SourceUnavailable."""
    with translated("the server does not say what it is"):
        said = str(value(conn, "SELECT VERSION()"))
        mariadb, version = "mariadb" in said.lower(), _numbers(said)
        collations = rows(conn, collations_query(version, mariadb=mariadb))
        return Server(
            mariadb=mariadb,
            version=version,
            uid=_uid(conn, mariadb=mariadb),
            server_id=int(value(conn, "SELECT @@server_id")),
            gtids=mariadb or str(value(conn, "SELECT @@global.gtid_mode")).upper() == "ON",
            lock_free=bool(rows(conn, "SHOW STATUS LIKE 'binlog_snapshot_file'")),
            collations={int(number): str(charset) for number, charset in collations if number is not None},
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-", 1)[0].split(".") if part.isdigit())


def _uid(conn: Connection[Any], *, mariadb: bool) -> str:
    """Return a name that no other server has; MariaDB before 10.11 has none but its feedback plugin's."""
    if not mariadb:
        return str(value(conn, "SELECT @@server_uuid"))
    known = dict(rows(conn, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uid', 'feedback_server_uid')"))
    found = known.get("server_uid") or known.get("feedback_server_uid")
    return str(found or value(conn, "SELECT CONCAT(@@hostname, ':', @@port, ':', @@server_id)"))


def place(conn: Connection[Any]) -> Place:
    """Return the end of the log; raises SourceError when there is none."""
    file, offset = _status(conn)[:2]
    return Place.of(str(file), int(offset))


def end(conn: Connection[Any], server: Server) -> tuple[Place, Gtids]:
    """Return the end of the log, and the ids of the transactions before it.

    MySQL counts a transaction as executed a moment after it is in the log: its set may lack the very last ones.
    """
    row = _status(conn)
    at = Place.of(str(row[0]), int(row[1]))
    if server.mariadb:
        with translated("the log's position cannot be read"):
            position = value(conn, "SELECT BINLOG_GTID_POS(%s, %s)", at.file, at.offset)
            return at, GtidPosition.parse(str(position or ""))
    return at, GtidSet.parse(str(row[4])) if server.gtids else GtidSet()


def standing(conn: Connection[Any], server: Server) -> tuple[Place | None, Gtids]:
    """Return where a stream begins now: at a place, behind all of these transactions.

    MySQL with GTIDs has no such place: nothing tells which transactions before the end of the log are not in the set.
    So it is None, and the stream begins behind the set: it has those transactions, and knows their ids from then on.
    """
    at, gtids = end(conn, server)
    return (None if server.gtids and not server.mariadb else at), gtids


def executed(conn: Connection[Any], server: Server) -> Gtids:
    """Return which transactions are in the server's log, or were."""
    with translated("the executed transactions cannot be read"):
        variable = "gtid_binlog_pos" if server.mariadb else "gtid_executed"
        return server.parse(str(value(conn, f"SELECT @@global.{variable}") or ""))


def purged(conn: Connection[Any], server: Server) -> GtidSet:
    """Return which transactions are no longer in a MySQL server's log."""
    assert not server.mariadb, "MariaDB says so when a stream begins"
    with translated("the purged transactions cannot be read"):
        return GtidSet.parse(str(value(conn, "SELECT @@global.gtid_purged") or ""))


def left_out(conn: Connection[Any], databases: Iterable[str]) -> list[str]:
    """Return which databases the server keeps out of its log; raises SourceError when it writes none."""
    row = _status(conn)
    wanted, ignored = (set(filter(None, str(names or "").split(","))) for names in row[2:4])
    return sorted(name for name in set(databases) if name in ignored or (wanted and name not in wanted))


def replications(conn: Connection[Any]) -> list[dict[str, str]]:
    """Return what the server says of each server that it replicates from; nothing where we may not know."""
    for statement in _REPLICATIONS:
        try:
            with conn.cursor(DictCursor) as cursor:
                cursor.execute(statement)
                return [{name: str(told or "") for name, told in row.items()} for row in cursor.fetchall()]
        except pymysql.MySQLError:
            continue
    return []


def is_silent_replica(conn: Connection[Any]) -> bool:
    """Whether the server replicates from another one and keeps what it replicates out of its log."""
    with translated("the server's settings cannot be read"):
        settings = rows(conn, _LOGS_REPLICATED)
    return bool(replications(conn)) and all(str(setting[1]).upper() in ("OFF", "0") for setting in settings)


def log_files(conn: Connection[Any]) -> list[tuple[str, int]]:
    """Return the files of the log with their sizes in bytes, the oldest first."""
    with translated("the files of the log cannot be listed"):
        return [(str(row[0]), int(row[1])) for row in rows(conn, "SHOW BINARY LOGS")]


def _status(conn: Connection[Any]) -> tuple[Any, ...]:
    with translated("the log's position cannot be read", "GRANT REPLICATION CLIENT (MariaDB: BINLOG MONITOR)"):
        for statement in _STATUS:
            try:
                found = rows(conn, statement)
            except pymysql.err.ProgrammingError as error:
                if error.args[0] != _SYNTAX_ERROR:
                    raise
                continue
            if found:
                return found[0]
            break
    raise SourceError("the server writes no binary log", "start it with log_bin; see `ferryman check`")


def rows(conn: Connection[Any], query: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Return all rows of a query; raises the driver's errors."""
    with conn.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return list(cursor.fetchall())


def value(conn: Connection[Any], query: str, *arguments: object) -> Any:
    """Return the one value of a query; raises the driver's errors."""
    found = rows(conn, query, *arguments)
    return found[0][0] if found else None
