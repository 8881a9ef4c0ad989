"""The replication slot: the server's promise to keep the log for us from a confirmed place on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import errors

from capture.source import SourceError, SourceUnavailable
from capture.sources.postgres import lsn
from capture.sources.postgres.faults import translated
from runtime.postgres import duration

if TYPE_CHECKING:
    import psycopg

    from runtime.config import Owned

_FIND = """
SELECT plugin, database, active_pid, confirmed_flush_lsn::text, restart_lsn::text, wal_status, safe_wal_size,
       to_jsonb(s)->>'invalidation_reason', coalesce((to_jsonb(s)->>'conflicting')::bool, false)
FROM pg_replication_slots s WHERE slot_name = %s"""

#: Every transaction with an xid counts, prepared ones too.
_RUNNING = """
SELECT format('pid %s (xid %s, %s, since %s)', pid, backend_xid, coalesce(usename, '?'), xact_start)
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
UNION ALL SELECT format('prepared transaction %L (xid %s, %s, since %s)', gid, transaction, owner, prepared)
FROM pg_prepared_xacts LIMIT 10"""


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot as the server shows it. ``lost`` says why it is of no use any more, if so.

    ``restart`` is the oldest place of the log that the server keeps for it.
    """

    plugin: str
    database: str | None
    active_pid: int | None
    confirmed: int | None
    restart: int | None
    lost: str | None

    def fits(self, database: str) -> bool:
        """Whether it can carry a stream of this database for us."""
        return self.plugin == "pgoutput" and self.database == database


def find(conn: psycopg.Connection[Any], name: str) -> SlotState | None:
    """Return the slot's state, None when there is none of that name."""
    with translated(f"slot {name} cannot be read"):
        row = conn.execute(_FIND, [name]).fetchone()
    if row is None:
        return None
    plugin, database, pid, confirmed, restart, wal_status, _safe, invalidation, conflicting = row
    lost = None
    if invalidation or wal_status == "lost" or conflicting or restart is None:
        lost = f"slot {name} was invalidated by the server ({invalidation or wal_status or 'unknown reason'})"
    return SlotState(plugin, database, pid, _place(confirmed), _place(restart), lost)


def _place(text: str | None) -> int | None:
    return lsn.parse(text) if text else None


def ensure(conn: psycopg.Connection[Any], configured: Owned, timeout_s: float, *, anew: bool) -> str | None:
    """Make the slot if there is none; with ``anew``, or when it was invalidated, in place of the one there is.

    ``timeout_s``: how many seconds a new one may wait for transactions that run already; then we say which they are.

    Returns why an old one was replaced. Raises SourceError when the slot is not ours to make or not fit for us,
    SourceUnavailable while transactions keep a new one waiting.
    """
    name, create = configured.name, configured.create
    state = find(conn, name)
    if state is not None:
        if not state.fits(conn.info.dbname):
            raise SourceError(
                f"slot {name} belongs to plugin {state.plugin} in database {state.database}",
                "give this pipeline another slot: source.slot.name",
            )
        reason = state.lost or ("its publication was dropped" if anew else None)
        if reason is None:
            return None
        if not create:
            raise SourceError(reason, f"SELECT pg_drop_replication_slot({_literal(name)}); {statement(conn, name)};")
        drop(conn, name)
        _create(conn, name, timeout_s)
        return reason
    if not create:
        raise SourceError(f"slot {name} does not exist", f"{statement(conn, name)};")
    _create(conn, name, timeout_s)
    return None


def _create(conn: psycopg.Connection[Any], name: str, timeout_s: float) -> None:
    with translated(f"slot {name} cannot be made", "the role needs REPLICATION; see also max_replication_slots"):
        conn.execute(f"SET statement_timeout = '{duration(timeout_s)}'")
        try:
            conn.execute(statement(conn, name))
        except errors.QueryCanceled:
            running = "; ".join(row[0] for row in conn.execute(_RUNNING).fetchall()) or "the role may not see which"
            raise SourceUnavailable(
                f"slot {name} waits for transactions that run since before it was asked for: {running}",
                "let them end; a forgotten one can be ended by SELECT pg_terminate_backend(pid)",
            ) from None
        finally:
            conn.execute("SET statement_timeout = 0")


def drop(conn: psycopg.Connection[Any], name: str) -> None:
    """Drop the slot; raises SourceUnavailable while somebody streams from it."""
    with translated(f"slot {name} cannot be dropped"):
        conn.execute("SELECT pg_drop_replication_slot(%s)", [name])


def statement(conn: psycopg.Connection[Any], name: str) -> str:
    """Return the SQL that makes the slot."""
    # Failover slots (17+) are kept in step on physical standbys; the setting is without effect elsewhere.
    failover = ", failover => true" if conn.info.server_version >= 170_000 else ""
    return f"SELECT pg_create_logical_replication_slot({_literal(name)}, 'pgoutput'{failover})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
