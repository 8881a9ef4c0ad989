"""PostgreSQL as a source of capture: the contract of :mod:`capture.source` over slot, stream and chunks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from psycopg import errors

from capture.source import Batch, HistoryLost, SourceUnavailable, is_full
from capture.sources.postgres import catalog, chunks, history, kernels, lsn, plan, slot, tables, values
from capture.sources.postgres.assembler import Assembler
from capture.sources.postgres.beside import BesideLog
from capture.sources.postgres.chunk_file import file_images
from capture.sources.postgres.faults import readable, translated
from capture.sources.postgres.publication import Publication
from capture.sources.postgres.stream import SlotInUse, Stream
from capture.sources.postgres.versions import Versions
from capture.sources.postgres.visibility import Snapshot
from runtime.postgres import connect, quote
from runtime.row_path import fewest_rows
from schemas.positions import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from capture.source import ChunkRead, ChunkRequest, FoundTable, Mark, Plan, Resume
    from runtime.config import Selection, SourceConfig
    from schemas.columnar.block import Columns
    from schemas.columnar.images import Kernel
    from schemas.table import Column, TableSchema

log = structlog.get_logger()

#: Between looks for a slot that is let go, and for a transaction that can be seen (usually within microseconds).
_SLOT_PAUSE_S, _VISIBLE_PAUSE_S = 0.2, 0.005

#: Whoever has written holds a lock on its own xid until it is over for everybody (prepared ones have no process).
_FENCE: Final = """
SELECT pg_current_xact_id()::text, ARRAY(
    SELECT l.transactionid::text FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
      AND a.datname = current_database()
    UNION SELECT transaction::text FROM pg_prepared_xacts WHERE database = current_database())"""


class PostgresSource:
    """One database behind one slot. Two connections: the stream, and a session for everything else."""

    def __init__(self, pipeline: str, config: SourceConfig, selection: Selection) -> None:
        self._config, self._selection = config, selection
        self._application = f"ferryman capture {pipeline}"
        self._slot = config.slot.name
        self._publication = Publication(config.publication, config.lock_timeout_seconds)
        self._session: psycopg.Connection[Any] | None = None
        self._stream: Stream | None = None
        self._assembler: Assembler | None = None
        self._versions = Versions(self._connected, self._until_visible)
        self._beside = BesideLog(self._publication.name, self.now, self.passed)
        self._lost: dict[str, str] = {}
        self._replaced: str | None = None
        self._outlived = False  # the slot is older than its publication, so its log cannot be decoded
        self.identity: dict[str, Any] = {}
        self._memory: dict[str, Any] = {}
        self._fingerprint = ""
        self._heard_at = 0.0

    # --- before the stream -----------------------------------------------------------------------------------------

    def prepare(self) -> dict[str, Any]:
        """Make or find publication and slot and return the source's identity.

        The publication comes first: a slot can decode only what is younger than its publication.
        """
        conn = self._open_session()
        self._stream = Stream(self._config.conninfo, self._application)
        system, timeline = self._stream.identify()
        publication, made = self._publication.ensure(conn)
        self._replaced = slot.ensure(conn, self._config.slot, self._config.slot_timeout_seconds, anew=made)
        self.identity = {
            "name": conn.info.dbname,
            "system_id": system,
            "timeline": timeline,
            "dbname": conn.info.dbname,
            "slot": self._slot,
            "publication": publication,
        }
        return self.identity

    def tables(self) -> list[FoundTable]:
        """Return the selected tables, those that cannot be captured with their reason."""
        conn = self._connected()
        self._publication.stays(conn, self.identity["publication"])
        manage = self._config.replica_identity == "manage"
        found = tables.discover(conn, self._selection, self._publication, manage=manage)
        self._revise(conn, found)
        self._lost |= self._versions.look(found, self._publication.name)
        self._lost = self._beside.see(conn, found) | self._lost
        return found

    def _revise(self, conn: psycopg.Connection[Any], found: list[FoundTable]) -> None:
        """Let the stream look at its tables again when the catalog changed in a way that no message tells."""
        with translated("the catalog cannot be read"):
            fingerprint = catalog.fingerprint(conn, [table.identity["oid"] for table in found])
        if self._versions.want(found) or fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            if self._assembler is not None:
                self._assembler.revise()

    def schema(self, table: FoundTable) -> TableSchema:
        """Return a table's version as the catalog shows it now."""
        conn = self._connected()
        with translated(f"table {table.name} cannot be described"), conn.transaction():
            relation = catalog.relation(conn, table.identity["oid"], self._publication.name)
            if relation is None:
                raise SourceUnavailable(f"table {table.name} was dropped")
            version = catalog.version(conn, relation)
            self._beside.note(conn, relation.oid)
        self._versions.note(version)
        return version.schema

    def publish(self, tables: Sequence[FoundTable]) -> bool:
        """Let the log carry exactly these tables. One that was taken out meanwhile has lost its changes since."""
        added, changed = self._publication.carry(self._connected(), tables)
        for table in added:
            self._lost[table.name] = "it was not in the publication for a while"
        return changed

    def start(self, resume: Resume | None, identity: dict[str, Any]) -> None:
        """Open the stream at ``resume``, or at the slot's own place.

        Raises HistoryLost when the log since ``resume`` is gone or another one, SourceUnavailable while another process
        holds the slot.
        """
        conn, stream = self._connected(), self._fresh_stream()
        at = None if resume is None else int(resume["lsn"])
        if at is not None:
            self._same_history(stream, identity, at)
        elif self._outlived:
            slot.ensure(conn, self._config.slot, self._config.slot_timeout_seconds, anew=True)
        begin = self._confirmed(conn, at) if at is None else at
        self._take_slot(stream, begin)
        self._confirmed(conn, at)  # from here on nobody else can move the slot
        self._recall(resume or {})
        self._assembler = Assembler(begin, self._versions.follow, fewest_rows())
        self._heard_at = time.monotonic()

    def _same_history(self, stream: Stream, identity: dict[str, Any], at: int) -> None:
        if self._replaced:
            raise HistoryLost(f"the slot was made anew: {self._replaced}")
        reason = history.difference(identity, self.identity, at, stream.timeline_history)
        self._outlived = identity.get("publication") != self.identity["publication"]
        if reason is not None:
            raise HistoryLost(reason)

    def _confirmed(self, conn: psycopg.Connection[Any], at: int | None) -> int:
        """Return the slot's own place; raises HistoryLost when it is ahead of ours: what lies between is gone."""
        state = slot.find(conn, self._slot)
        if state is None or state.confirmed is None or state.lost is not None:
            raise SourceUnavailable(state.lost if state and state.lost else f"slot {self._slot} was dropped")
        if at is not None and state.confirmed > at:
            raise HistoryLost(
                f"slot {self._slot} stands at {lsn.render(state.confirmed)}, ahead of the saved position "
                f"{lsn.render(at)}: it was advanced, or dropped and made anew"
            )
        return state.confirmed

    def _take_slot(self, stream: Stream, at: int) -> None:
        deadline = time.monotonic() + self._config.patience_seconds
        while True:
            try:
                stream.start(self._slot, self._publication.name, at)
            except SlotInUse:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_SLOT_PAUSE_S)
            else:
                return

    # --- the stream ------------------------------------------------------------------------------------------------

    def read(self, max_rows: int, max_wait_s: float) -> Batch:
        """Return what the stream has; at once when it stands between two transactions and nothing more has arrived."""
        stream, assembler = self._streaming()
        deadline = time.monotonic() + max_wait_s
        while True:
            with readable():
                stream.gather(assembler, max_rows)
            full = is_full(assembler.rows, max_rows, between=assembler.between)
            if full or (assembler.between and assembler.news):
                break
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            stream.wait(left_s)
        self._keep_moving(assembler)
        return self._batch(assembler)

    def _until_visible(self) -> None:
        """Wait until queries see the transaction that is being read; raises SourceUnavailable after a while."""
        stream, assembler = self._streaming()
        deadline = time.monotonic() + self._config.patience_seconds
        while assembler.at is not None:
            if Snapshot.parse(self._value("SELECT pg_current_snapshot()::text")).includes(assembler.at):
                return
            if time.monotonic() >= deadline:
                raise SourceUnavailable(
                    f"transaction {assembler.at.id}, which alters a table, is in the log, but its COMMIT still waits",
                    "see that the standbys of synchronous_standby_names answer",
                )
            stream.keep_alive()
            time.sleep(_VISIBLE_PAUSE_S)

    def _batch(self, assembler: Assembler) -> Batch:
        with readable():
            batch = assembler.take()
        self._beside.truncated(assembler.truncates())
        if assembler.between:
            self._memory = self._remembered()
        batch.resume.update(self._memory)  # as it was at the resume point
        batch.lost.update(self._lost)
        self._lost = {}
        return batch

    def _remembered(self) -> dict[str, Any]:
        """Return what a later start must know of the tables to notice what was done to them meanwhile."""
        return {REMEMBERED: {"tables": self._versions.dump(), **self._beside.dump()}}

    def _recall(self, resume: Resume) -> None:
        remembered = resume.get(REMEMBERED, resume)  # an earlier version kept it all in one place
        self._versions.load(remembered.get("tables", {}))
        self._beside.load(remembered)
        self._memory = self._remembered()

    def _keep_moving(self, assembler: Assembler) -> None:
        """Put something of ours into a log that has nothing for us, so that the confirmed place moves."""
        clock = time.monotonic()
        if assembler.news or not assembler.between:
            self._heard_at = clock
        elif clock - self._heard_at >= self._config.heartbeat_seconds:
            self._heard_at = clock
            self._emit()

    def confirm(self, resume: Resume) -> None:
        """Tell the server that everything before ``resume`` is durable and saved."""
        self._streaming()[0].confirm(int(resume["lsn"]))

    def keep_alive(self) -> None:
        """Show the server that we are there while nobody reads; call it every few seconds of a long wait."""
        if self._stream is not None and self._stream.started:
            self._stream.keep_alive()

    def now(self) -> Mark:
        """Return a place after everything committed so far; a message of ours behind it lets an idle stream pass it."""
        mark = {"lsn": lsn.parse(self._value("SELECT pg_current_wal_insert_lsn()::text"))}
        self._emit()
        return mark

    def reached(self) -> Mark:
        """Return how far the stream was read."""
        return {"lsn": self._streaming()[1].resume}

    def passed(self, mark: Mark) -> bool:
        """Whether the stream was read up to ``mark``."""
        return self._streaming()[1].resume >= int(mark["lsn"])

    def _emit(self) -> None:
        """Write a logical message, and have it flushed: the server sends no more than is on disk.

        Before 17 a message cannot be flushed by itself; a transaction of its own that commits locally is.
        """
        flushing = self._connected().info.server_version >= 170_000
        call = "false, 'ferryman', '', true" if flushing else "true, 'ferryman', ''"
        self._value(f"SELECT pg_logical_emit_message({call})::text")

    # --- snapshots -------------------------------------------------------------------------------------------------

    def fence(self) -> Mark:
        """Return the xid of a transaction of its own, taken now, and who was running in this database (rule 3)."""
        with translated("the source does not answer"):
            row = self._connected().execute(_FENCE).fetchone()
        assert row is not None, "a SELECT without FROM returns one row"
        return {"xid": int(row[0]), "running": [int(xid) for xid in row[1]]}

    def settled(self, fence: Mark) -> bool:
        """Whether every transaction that ran when ``fence`` was taken is over and visible."""
        return Snapshot.parse(self._value("SELECT pg_current_snapshot()::text")).after(fence)

    def plan(self, table: FoundTable) -> tuple[Plan, int, int | None] | None:
        """Return how to cut a table into ranges of pages; one whole chunk for a table without a key.

        None while somebody holds its lock: to measure it is to wait for that.
        """
        conn = self._connected()
        with translated(f"table {table.name} cannot be measured"):
            try:
                with conn.transaction():
                    name = quote(table.namespace, table.table)
                    conn.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE NOWAIT".encode())
                    leaves = catalog.leaves(conn, table.identity["oid"])
            except errors.LockNotAvailable:
                return None
        snapshot = self._config.snapshot
        made, chunk_count = plan.cut(
            leaves,
            whole=table.keyless,
            chunk_rows=snapshot.chunk_rows,
            chunk_bytes=snapshot.chunk_mib << 20,
        )
        return made, chunk_count, plan.estimated_rows(leaves)

    def connection(self) -> chunks.Access:
        """Return what a worker needs to connect."""
        config, application = self._config, f"{self._application} snapshot"
        return chunks.Access(
            config.conninfo, application, config.publication.name, config.snapshot.lock_timeout_seconds
        )

    def chunk_reader(self) -> Callable[[ChunkRequest], ChunkRead]:
        """Return the function that workers run."""
        return chunks.read_chunk

    def images(self, chunk: ChunkRead) -> Iterator[Columns]:
        """Yield the rows of a chunk by column, reading its file lazily."""
        return iter(()) if chunk.path is None else file_images(chunk.path, len(chunk.schema.columns))

    def kernel(self, column: Column) -> Kernel:
        """Return the same for whole columns."""
        return kernels.kernel(column.type)

    def converter(self, column: Column) -> Callable[[bytes], object]:
        """Return how this column's text becomes its Avro value."""
        return values.converter(column)

    # --- state -----------------------------------------------------------------------------------------------------

    def lag_bytes(self) -> int | None:
        """Return how much log lies between what was read and the server's end of log."""
        if self._assembler is None:
            return None
        return max(0, lsn.parse(self._value("SELECT pg_current_wal_lsn()::text")) - self._assembler.resume)

    def retained_bytes(self) -> int | None:
        """Return how much WAL the slot holds back."""
        state = slot.find(self._connected(), self._slot)
        if state is None or state.restart is None:
            return None
        return max(0, lsn.parse(self._value("SELECT pg_current_wal_lsn()::text")) - state.restart)

    def close(self) -> None:
        """Close both connections; safe to call twice."""
        if self._stream is not None:
            self._stream.close()
        if self._session is not None:
            self._session.close()
        self._stream = self._session = self._assembler = None

    def _open_session(self) -> psycopg.Connection[Any]:
        self.close()
        session = connect(self._config.conninfo, application_name=self._application, autocommit=True)
        self._session = session
        with translated("the session cannot be set up"):
            # Our own commits (fences, messages) carry no data: they need not wait for standbys.
            session.execute("SET synchronous_commit = local")
            session.execute("SET idle_session_timeout = 0")
            # The catalog is asked about one table or about all; to plan that anew each time costs more than to run it.
            session.execute("SET plan_cache_mode = force_generic_plan")
        return session

    def _connected(self) -> psycopg.Connection[Any]:
        if self._session is None:
            raise SourceUnavailable("the source is not connected: prepare() comes first")
        return self._session

    def _fresh_stream(self) -> Stream:
        if self._stream is None or self._stream.started:
            if self._stream is not None:
                self._stream.close()
            self._stream = Stream(self._config.conninfo, self._application)
        return self._stream

    def _streaming(self) -> tuple[Stream, Assembler]:
        if self._stream is None or self._assembler is None:
            raise SourceUnavailable("the stream is not open: start() comes first")
        return self._stream, self._assembler

    def _value(self, query: str) -> str:
        with translated("the source does not answer"):
            row = self._connected().execute(query).fetchone()
        assert row is not None
        return str(row[0])
