"""What the source must have before capture can run, and what it had better have. Changes nothing.

Every finding says where, what, and the SQL that mends it; `check` gives them all at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from capture.sources.postgres import slot, tables
from capture.sources.postgres.faults import translated
from capture.sources.postgres.publication import Publication
from capture.sources.postgres.stream import Stream
from runtime.errors import Fault, Unreachable
from runtime.postgres import connect, quote

if TYPE_CHECKING:
    import psycopg

    from runtime.config import Selection, SourceConfig

_WHERE: Final = "source"
_APPLICATION: Final = "ferryman check"

#: The oldest server with all that is used here: ranges of ctid, pg_current_snapshot, messages in pgoutput.
_OLDEST: Final = 140_000

_FACTS: Final = """
SELECT pg_is_in_recovery(), current_setting('wal_level'), current_setting('max_replication_slots')::int,
       current_setting('max_wal_senders')::int, current_setting('server_encoding'),
       (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_stat_replication),
       coalesce((SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), false)
           OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication'
                      AND pg_has_role(current_user, oid, 'USAGE')),
       has_database_privilege(current_database(), 'CREATE'), quote_ident(current_user),
       current_setting('max_slot_wal_keep_size')"""

_OWNER: Final = """
SELECT pg_has_role(pubowner, 'USAGE'), quote_ident(pg_get_userbyid(pubowner)) FROM pg_publication WHERE pubname = %s"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself and of our role there (``role`` is spelled for a statement)."""

    version: int
    in_recovery: bool
    wal_level: str
    max_slots: int
    max_senders: int
    encoding: str
    slots: int
    senders: int
    may_replicate: bool
    may_create: bool
    role: str
    keep_size: str


def check(config: SourceConfig, selection: Selection) -> list[Fault]:
    """Return everything that keeps capture from running, or a selected table from being captured.

    Raises Unreachable or Refused when the server does not let us look, SourceError when the catalog cannot be read.
    """
    with connect(config.conninfo, application_name=_APPLICATION, autocommit=True) as conn:
        facts = server_facts(conn)
        if facts.version < _OLDEST:
            return server_faults(facts, has_slot=True)
        state = slot.find(conn, config.slot.name)
        faults = server_faults(facts, has_slot=state is not None)
        if not faults:
            faults += _replication_faults(config)
        faults += _slot_faults(conn, config, state)
        faults += _publication_faults(conn, config, facts)
        faults += _table_faults(conn, config, selection)
    return faults


def warnings(config: SourceConfig) -> list[Fault]:
    """Return what does not keep capture from running but may hurt later. Raises as :func:`check`."""
    with connect(config.conninfo, application_name=_APPLICATION, autocommit=True) as conn:
        facts = server_facts(conn)
    if facts.keep_size != "-1":
        return []
    return [
        Fault(
            _WHERE,
            "max_slot_wal_keep_size is unlimited: while capture is down, the log grows until the disk is full",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '100GB'; SELECT pg_reload_conf();"
            " -- beyond it the slot is lost instead, and the tables need a resync",
        )
    ]


def server_facts(conn: psycopg.Connection[Any]) -> ServerFacts:
    """Return what the server says of itself."""
    with translated("the server's settings cannot be read"):
        row = conn.execute(_FACTS).fetchone()
    assert row is not None, "a SELECT without FROM returns one row"
    return ServerFacts(conn.info.server_version, *row)


def server_faults(facts: ServerFacts, *, has_slot: bool) -> list[Fault]:
    """Return what is wrong with the server and the role. Pure."""
    if facts.version < _OLDEST:
        return [Fault(_WHERE, f"PostgreSQL {facts.version // 10_000} is too old", "use PostgreSQL 14 or later")]
    found = [
        (facts.in_recovery, "the server is a standby", "use the primary's address (Aurora: the cluster's writer)"),
        (
            facts.wal_level != "logical",
            f"wal_level is {facts.wal_level}",
            "ALTER SYSTEM SET wal_level = logical; -- then restart (Amazon RDS, Aurora: rds.logical_replication = 1)",
        ),
        (
            not facts.may_replicate,
            f"role {facts.role} may not replicate",
            f"ALTER ROLE {facts.role} REPLICATION; -- Amazon RDS and Aurora: GRANT rds_replication TO {facts.role};",
        ),
        (
            not has_slot and facts.slots >= facts.max_slots,
            f"all {facts.max_slots} replication slots are in use",
            f"ALTER SYSTEM SET max_replication_slots = {facts.max_slots + 10}; -- then restart",
        ),
        (
            not has_slot and facts.senders >= facts.max_senders,
            f"all {facts.max_senders} WAL senders are in use",
            f"ALTER SYSTEM SET max_wal_senders = {facts.max_senders + 10}; -- then restart",
        ),
        (
            facts.encoding == "SQL_ASCII",
            "the database's encoding is SQL_ASCII: its text has no defined meaning",
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0; -- and move the data there",
        ),
    ]
    return [Fault(_WHERE, what, fix) for wrong, what, fix in found if wrong]


def _replication_faults(config: SourceConfig) -> list[Fault]:
    """A role that may replicate can still be kept out by pg_hba.conf, so try it."""
    try:
        Stream(config.conninfo, _APPLICATION).close()
    except Unreachable as error:
        return [Fault(_WHERE, f"a replication connection is refused: {error.what}", error.fix)]
    return []


def _slot_faults(conn: psycopg.Connection[Any], config: SourceConfig, state: slot.SlotState | None) -> list[Fault]:
    name, create = config.slot.name, config.slot.create
    if state is None:
        missing = Fault(_WHERE, f"slot {name} does not exist", f"{slot.statement(conn, name)};")
        return [] if create else [missing]
    if not state.fits(conn.info.dbname):
        return [Fault(_WHERE, f"slot {name} is not a pgoutput slot of this database", "set source.slot.name")]
    if state.lost is not None and not create:
        fix = f"SELECT pg_drop_replication_slot('{name}'); {slot.statement(conn, name)};"
        return [Fault(_WHERE, state.lost, f"{fix} -- every table then needs a resync")]
    return []


def _publication_faults(conn: psycopg.Connection[Any], config: SourceConfig, facts: ServerFacts) -> list[Fault]:
    publication = Publication(config.publication, config.lock_timeout_seconds)
    found = publication.faults(conn)
    if not publication.create:
        return [Fault(_WHERE, what, fix) for what, fix in found]
    owner = conn.execute(_OWNER, [publication.name]).fetchone()
    if owner is None:
        grant = f"GRANT CREATE ON DATABASE {quote(conn.info.dbname)} TO {facts.role};"
        return [] if facts.may_create else [Fault(_WHERE, f"role {facts.role} may not make a publication", grant)]
    mine, name = owner
    if not mine:
        what = f"publication {publication.name} belongs to role {name}"
        return [Fault(_WHERE, what, f"GRANT {name} TO {facts.role}; -- or set source.publication.create: false")]
    return [Fault(_WHERE, what, fix) for what, fix in found]


def _table_faults(conn: psycopg.Connection[Any], config: SourceConfig, selection: Selection) -> list[Fault]:
    publication = Publication(config.publication, config.lock_timeout_seconds)
    states = tables.selected(conn, selection, publication.name)
    if not states:
        return [Fault("tables", "no table of the source is selected", "see the patterns under tables:")]
    managed = config.replica_identity == "manage"
    faults = []
    for state in states:
        found = tables.found(state, publication)
        if found.reason is not None and not (managed and not state.identified and state.owned):
            faults.append(Fault(found.name, found.reason, found.fix or ""))
    return faults
