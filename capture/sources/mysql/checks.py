"""What the source must have before capture can run, and what it had better have. Changes nothing.

Every finding says where, what, and the SQL that mends it; `check` gives them all at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pymysql

from capture.source import SourceError
from capture.sources.mysql import server, tables
from capture.sources.mysql.faults import translated
from capture.sources.mysql.stream import Stream
from runtime.errors import Fault, Unreachable
from runtime.mysql import connect, describe, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymysql.connections import Connection

    from capture.source import FoundTable
    from capture.sources.mysql.server import Server
    from runtime.config import Selection, SourceConfig

_WHERE: Final = "source"
_PROGRAM: Final = "ferryman check"

#: The oldest servers whose logs name the columns of tables.
_OLDEST: Final = {"mariadb": (10, 5), "mysql": (8, 0, 1)}
#: From here on MySQL carries out foreign keys itself and logs what they change, unless InnoDB is told to.
_LOGS_CASCADES: Final = (9, 6)
_SHORTEST_KEEP_S: Final = 86_400
#: What tells the server_id of an attempt from the one that capture uses: two of one number cut each other off.
_TRIAL: Final = 1 << 30

_SETTINGS: Final = """
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_metadata',
'log_slave_updates', 'log_replica_updates', 'binlog_expire_logs_seconds', 'innodb_native_foreign_keys', 'server_id')"""

#: What a replica can be told to leave out of what it replicates.
_FILTERS: Final = frozenset(
    f"Replicate_{rule}"
    for rule in ("Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table")
)

_CASCADES: Final = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of itself: its settings by name, whether it is a replica, and which filters that one has."""

    server: Server
    settings: Mapping[str, str]
    replica: bool
    filters: tuple[str, ...] = ()

    def is_set(self, name: str, wanted: str) -> bool:
        """Whether a setting has a value; one that the server does not know counts as set."""
        return self.settings.get(name, wanted).upper() == wanted


def check(config: SourceConfig, selection: Selection) -> list[Fault]:
    """Return everything that keeps capture from running, or a selected table from being captured.

    Raises Unreachable or Refused when the server does not let us look, SourceError when the catalog cannot be read.
    """
    with connect(config.conninfo, program_name=_PROGRAM, answer_s=config.answer_timeout_seconds) as conn:
        facts = _facts(conn)
        found, _ = tables.discover(conn, selection, lambda _name: "", {}, mariadb=facts.server.mariadb)
        faults = server_faults(facts, config.server_id)
        if not faults:
            faults = _log_faults(conn, found) or _stream_faults(conn, config, facts.server)
        if not found:
            faults.append(Fault("tables", "no table of the source is selected", "see the patterns under tables:"))
        return [*faults, *_table_faults(conn, found, facts.server)]


def warnings(config: SourceConfig, selection: Selection) -> list[Fault]:
    """Return what does not keep capture from running but may hurt later. Raises as :func:`check`."""
    with connect(config.conninfo, program_name=_PROGRAM, answer_s=config.answer_timeout_seconds) as conn:
        facts = _facts(conn)
        with translated("foreign keys cannot be read"):
            cascades = server.rows(conn, _CASCADES)
    concerned = sorted({(row[0], row[1]) for row in cascades if selection.matches(row[0], row[1])})
    return server_warnings(facts, concerned)


def _facts(conn: Connection[Any]) -> Facts:
    known = server.inspect(conn)
    with translated("the server's settings cannot be read"):
        settings = {str(name): str(value) for name, value in server.rows(conn, _SETTINGS)}
    sources = server.replications(conn)
    filters = {name for told in sources for name, rule in told.items() if name.startswith("Replicate_") and rule}
    return Facts(known, settings, bool(sources), tuple(sorted(filters & _FILTERS)))


# --- the server -------------------------------------------------------------------------------------------------------


def server_faults(facts: Facts, server_id: int) -> list[Fault]:
    """Return what is wrong with the server. Pure."""
    known, oldest = facts.server, _OLDEST[facts.server.kind]
    if known.version < oldest:
        title = "MariaDB" if known.mariadb else "MySQL"
        return [Fault(_WHERE, f"{title} {_text(known.version)} is too old", f"use {title} {_text(oldest)} or later")]
    found = [
        (not facts.is_set("log_bin", "ON"), "the server writes no binary log", "start it with log_bin"),
        (
            not facts.is_set("binlog_format", "ROW"),
            "binlog_format is not ROW: the log has statements, not rows",
            "SET GLOBAL binlog_format = 'ROW'; -- and in its configuration; open sessions keep the old one",
        ),
        (
            not facts.is_set("binlog_row_image", "FULL"),
            "binlog_row_image is not FULL: the log leaves columns out",
            "SET GLOBAL binlog_row_image = 'FULL'; -- and in its configuration; open sessions keep the old one",
        ),
        (
            not facts.is_set("binlog_row_metadata", "FULL"),
            "binlog_row_metadata is not FULL: the log does not name columns",
            "SET GLOBAL binlog_row_metadata = 'FULL'; -- and in its configuration",
        ),
        (
            facts.replica and not _logs_what_it_replicates(facts),
            *server.SILENT_REPLICA,
        ),
        (
            known.server_id == server_id,
            f"the server itself has the server_id {server_id}",
            "give capture another one: source.server_id",
        ),
        (known.server_id == 0, "the server has no server_id", "SET GLOBAL server_id = 1; -- and in its configuration"),
    ]
    return [Fault(_WHERE, what, fix) for wrong, what, fix in found if wrong]


def _logs_what_it_replicates(facts: Facts) -> bool:
    setting = facts.settings.get("log_replica_updates") or facts.settings.get("log_slave_updates") or "ON"
    return setting.upper() in ("ON", "1")


def server_warnings(facts: Facts, cascades: Iterable[tuple[str, str]]) -> list[Fault]:
    """Return what of the server may hurt later; ``cascades`` are selected tables that foreign keys change. Pure."""
    found = []
    if not facts.server.gtids:
        what = "gtid_mode is not ON: after a failover to another server all tables need a resync"
        found.append(Fault(_WHERE, what, "turn on gtid_mode and enforce_gtid_consistency, step by step"))
    if facts.filters:
        what = f"the server is a replica that leaves out some of what its source changes ({', '.join(facts.filters)})"
        fix = "name no address that moves between the two: what is left out here is in no log that capture would read"
        found.append(Fault(_WHERE, what, fix))
    keep = int(facts.settings.get("binlog_expire_logs_seconds", "0"))
    if 0 < keep < _SHORTEST_KEEP_S:
        what = f"the log is kept for {keep} s: when capture is down for longer, all tables need a resync"
        found.append(Fault(_WHERE, what, "SET GLOBAL binlog_expire_logs_seconds = 604800; -- and in its configuration"))
    if not logs_cascades(facts):
        found += [_cascade(database, table) for database, table in cascades]
    return found


def logs_cascades(facts: Facts) -> bool:
    """Return whether the log has the rows that foreign keys change. Pure."""
    known = facts.server
    return (
        not known.mariadb
        and known.version >= _LOGS_CASCADES
        and not facts.settings.get("innodb_native_foreign_keys", "OFF").upper().startswith(("ON", "1"))
    )


def _cascade(database: str, table: str) -> Fault:
    return Fault(
        f"{database}.{table}",
        "a foreign key deletes or changes rows of it (CASCADE, SET NULL), and the log does not have those changes",
        "let the application delete such rows itself, use MySQL 9.6 or later, or compare with `ferryman validate`",
    )


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


# --- what only an attempt tells ---------------------------------------------------------------------------------------


def _log_faults(conn: Connection[Any], found: list[FoundTable]) -> list[Fault]:
    """Ask for the end of the log, and whether databases are left out of it."""
    try:
        left_out = server.left_out(conn, (table.namespace for table in found))
    except SourceError as error:
        return [Fault(_WHERE, error.what, error.fix)]
    what, fix = tables.NOT_LOGGED
    return [Fault(name, what, fix) for name in left_out]


def _stream_faults(conn: Connection[Any], config: SourceConfig, known: Server) -> list[Fault]:
    """A user who may look may still not be let at the log: so try it, under another number than a running capture's."""
    try:
        number, answer_s = config.server_id ^ _TRIAL, config.answer_timeout_seconds
        stream = Stream(config.conninfo, _PROGRAM, known, number, answer_s)
        try:
            stream.start(*server.standing(conn, known))
        finally:
            stream.close()
    except (SourceError, Unreachable) as error:
        fix = error.fix or "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user;"
        return [Fault(_WHERE, f"a replication connection is refused: {error.what}", fix)]
    return []


def _table_faults(conn: Connection[Any], found: list[FoundTable], known: Server) -> list[Fault]:
    faults = []
    for table in found:
        if table.reason is not None:
            faults.append(Fault(table.name, table.reason, table.fix or ""))
            continue
        try:
            server.rows(conn, f"SELECT 1 FROM {quote(table.namespace, table.table)} LIMIT 0")
        except pymysql.MySQLError as error:
            fix = f"GRANT SELECT ON {quote(table.namespace)}.* TO the user;"
            faults.append(Fault(table.name, f"it cannot be read: {describe(error)}", fix))
    if not known.lock_free:
        faults += _lock_faults(conn, {table.namespace for table in found})
    return faults


def _lock_faults(conn: Connection[Any], databases: Iterable[str]) -> list[Fault]:
    """Without a place for each snapshot, a chunk's table is locked for a moment: that needs a privilege of its own."""
    with translated("the user's grants cannot be read"):
        grants = [str(row[0]) for row in server.rows(conn, "SHOW GRANTS")]
    able = [grant for grant in grants if "LOCK TABLES" in grant or "ALL PRIVILEGES" in grant]
    return [
        Fault(database, "the user may not lock its tables", f"GRANT LOCK TABLES ON {quote(database)}.* TO the user;")
        for database in sorted(databases)
        if not any(" ON *.* " in grant or f" ON {quote(database)}.* " in grant for grant in able)
    ]
