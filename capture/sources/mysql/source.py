"""MySQL and MariaDB as sources of capture: the contract of :mod:`capture.source` over binary log and key ranges."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from capture.source import Batch, HistoryLost, SourceError, SourceUnavailable, is_full
from capture.sources.mysql import bounds, catalog, chunks, kernels, server, tables, values
from capture.sources.mysql.assembler import Assembler
from capture.sources.mysql.chunk_file import file_images
from capture.sources.mysql.faults import translated
from capture.sources.mysql.log import history
from capture.sources.mysql.log.coordinates import Place
from capture.sources.mysql.log.positions import Standing
from capture.sources.mysql.policy import Policy
from capture.sources.mysql.stream import Stream
from capture.sources.mysql.versions import Versions
from runtime import metrics
from runtime.mysql import address, connect
from runtime.row_path import fewest_rows
from schemas.positions import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymysql.connections import Connection

    from capture.source import ChunkRead, ChunkRequest, FoundTable, Mark, Plan, Resume
    from capture.sources.mysql.server import Server
    from runtime.config import Selection, SourceConfig
    from schemas.columnar.block import Columns
    from schemas.columnar.images import Kernel
    from schemas.table import Column, TableSchema

log = structlog.get_logger()

OTHER_SERVER = "the server was changed: without a key, rows published just before cannot be told from new ones"


def turn(pipeline: str, config: SourceConfig) -> str:
    """Return the name of the lock that the running capture of a pipeline holds at the server."""
    return f"ferryman.{pipeline}.{config.server_id}"


class MySQLSource:
    """One server behind one replication connection, with a session beside it for everything else."""

    def __init__(self, pipeline: str, config: SourceConfig, selection: Selection) -> None:
        self._pipeline, self._config, self._selection = pipeline, config, selection
        self._policy = Policy(
            infinity=config.zero_dates == "infinity", symbol=config.nul_characters == "symbol", altered=_count
        )
        self._application = f"ferryman capture {pipeline}"
        self._session: Connection[Any] | None = None
        self._stream: Stream | None = None
        self._assembler: Assembler | None = None
        self._server: Server | None = None
        self._versions = Versions(self._connected)
        self._published: set[str] = set()
        self._lost: dict[str, str] = {}
        self._memory: dict[str, Any] = {}
        self._unsaved: Standing | None = None  # the first place on another server, until it is saved
        self._moved = False
        self._described: dict[tables.Name, tables.Described] = {}

    # --- before the stream -----------------------------------------------------------------------------------------

    def prepare(self) -> dict[str, Any]:
        """Connect and return the source's identity."""
        self.close()
        self._session = connect(
            self._config.conninfo, program_name=self._application, answer_s=self._config.answer_timeout_seconds
        )
        self._server = self._versions.server = server.inspect(self._session)
        if self._server.server_id == self._config.server_id:
            raise SourceError(
                f"the server itself has the server_id {self._server.server_id}", "set another one: source.server_id"
            )
        if server.is_silent_replica(self._session):
            raise SourceError(*server.SILENT_REPLICA)
        return {
            "name": address(self._config.conninfo),
            "kind": self._server.kind,
            "server": self._server.uid,
            "gtids": self._server.gtids,
        }

    def tables(self) -> list[FoundTable]:
        """Return the selected tables, those that cannot be captured with their reason."""
        found, described = tables.discover(
            self._connected(), self._selection, self._versions.made, self._described, mariadb=self._known().mariadb
        )
        if (self._versions.want(found) or described != self._described) and self._assembler is not None:
            self._assembler.revise()
        self._described = described
        self._lost |= self._versions.look(found, {name: one.facts for name, one in described.items()})
        if self._moved:
            self._lost |= {table.name: OTHER_SERVER for table in found if table.keyless}
            self._moved = False
        left_out = server.left_out(self._connected(), {table.namespace for table in found})
        return tables.without_unlogged(found, left_out)

    def schema(self, table: FoundTable) -> TableSchema:
        """Return a table's version as the catalog shows it now."""
        known = self._known()
        with translated(f"table {table.name} cannot be described"):
            facts = catalog.describe_held(self._connected(), table.namespace, table.table, mariadb=known.mariadb)
        if facts is None:
            raise SourceUnavailable(f"table {table.name} was dropped")
        version = catalog.version(facts, known.kind)
        self._versions.note(version)
        return version.schema

    def publish(self, tables: Sequence[FoundTable]) -> bool:
        """Let the log carry exactly these tables: it carries all, so this only tells whether they are others."""
        names = {table.name for table in tables}
        changed, self._published = names != self._published, names
        return changed

    def start(self, resume: Resume | None, identity: dict[str, Any]) -> None:
        """Open the stream at ``resume``, or at the end of the log.

        Raises HistoryLost when the log since ``resume`` is gone or another one, SourceUnavailable while another capture
        of this pipeline is connected.
        """
        self._take_turn()
        conn, known = self._connected(), self._known()
        self._unsaved, self._moved = None, False
        if resume is None:
            standing = Standing(*server.standing(conn, known))
        else:
            standing = self._resumed(Standing.load(resume, known.parse), identity)
        self._begin(standing)
        self._recall(resume or {})

    def _take_turn(self) -> None:
        """Two captures with one server_id would cut each other off: the lock is held as long as the session lives."""
        with translated("the server gives no lock"):
            name = turn(self._pipeline, self._config)
            taken = server.value(self._connected(), "SELECT GET_LOCK(%s, %s)", name, self._patience_s)
        if taken != 1:
            raise SourceUnavailable("another capture of this pipeline is connected", "stop it; two take turns")

    @property
    def _patience_s(self) -> float:
        """The server answers about its lock before its silence counts."""
        return min(self._config.patience_seconds, self._config.answer_timeout_seconds / 2)

    def _resumed(self, saved: Standing, identity: dict[str, Any]) -> Standing:
        """Return where to go on; on another server by transaction ids, under a new epoch."""
        conn, known = self._connected(), self._known()
        now = {"kind": known.kind, "server": known.uid, "gtids": known.gtids}
        reason = history.another_log(identity, now)
        if reason is None and known.gtids and identity.get("gtids"):
            reason = history.lacking(saved.gtids, server.executed(conn, known))
            if reason is None and not known.mariadb:
                reason = history.lost(saved.gtids, server.purged(conn, known))  # type: ignore[arg-type]  # MySQL's
        if reason is not None:
            raise HistoryLost(reason)
        if identity["server"] == known.uid:
            return saved
        log.warning("source.server_changed", server=known.uid)
        self._unsaved, self._moved = saved.elsewhere(), True
        return self._unsaved

    def _begin(self, standing: Standing) -> None:
        self._close_stream()
        config = self._config
        stream = Stream(
            config.conninfo, self._application, self._known(), config.server_id, config.answer_timeout_seconds
        )
        self._stream = stream
        stream.start(standing.place, standing.gtids)
        if standing.place is not None and standing.born and stream.born(standing.place.file) not in (0, standing.born):
            raise HistoryLost("the log was reset: a file of the same name was begun at another time")
        self._assembler = Assembler(standing, self._versions, fewest_rows())

    # --- the stream ------------------------------------------------------------------------------------------------

    def read(self, max_rows: int, max_wait_s: float) -> Batch:
        """Return what the stream has; at once when it stands between two transactions and nothing more has arrived."""
        stream, assembler = self._streaming()
        if self._unsaved is not None:
            # Nothing may carry the new epoch before it is saved: `confirm` tells that it is.
            return Batch([], None, self._unsaved.dump() | self._memory, between=True, lost=self._taken_lost())
        deadline = time.monotonic() + max_wait_s
        assembler.most = max_rows
        while True:
            assembler.pump()
            if not is_full(assembler.rows, max_rows, between=assembler.between):
                stream.drain(assembler, max_rows)
            full = is_full(assembler.rows, max_rows, between=assembler.between)
            if full or (assembler.between and assembler.news):
                break
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            stream.wait(left_s)
        return self._batch(assembler)

    def _batch(self, assembler: Assembler) -> Batch:
        batch = assembler.take()
        if assembler.between:
            self._memory = {REMEMBERED: {"tables": self._versions.dump()}}
        batch.resume.update(self._memory)  # as it was at the resume point
        batch.lost.update(self._taken_lost())
        return batch

    def _taken_lost(self) -> dict[str, str]:
        lost, self._lost = self._lost, {}
        return lost

    def _recall(self, resume: Resume) -> None:
        # An earlier version kept it all in one place.
        self._versions.load(resume.get(REMEMBERED, resume).get("tables", {}))
        self._memory = {REMEMBERED: {"tables": self._versions.dump()}}

    def confirm(self, resume: Resume) -> None:
        """Note that everything before ``resume`` is saved; the server keeps its log as long as it was told to."""
        if self._unsaved is not None and int(resume["epoch"]) == self._unsaved.epoch:
            self._unsaved = None

    def keep_alive(self) -> None:
        """Do nothing: the server sends without being asked, and waits for an hour."""

    def now(self) -> Mark:
        """Return the end of the log: an idle stream has read to there, or is told so by the next heartbeat."""
        return server.place(self._connected()).dump()

    def reached(self) -> Mark:
        """Return how far the stream was read."""
        return self._streaming()[1].reached.dump()

    def passed(self, mark: Mark) -> bool:
        """Whether the stream was read up to ``mark``."""
        return self._streaming()[1].reached >= Place.load(mark)

    # --- snapshots -------------------------------------------------------------------------------------------------

    def fence(self) -> Mark:
        """Return the end of the log: what stands before it may be invisible yet, while its COMMIT is under way."""
        return server.place(self._connected()).dump()

    def settled(self, fence: Mark) -> bool:
        """Whether a snapshot taken now would see everything before ``fence``."""
        conn = self._connected()
        if not self._known().lock_free:
            return True  # the lock of the table sees to it
        with translated("a snapshot cannot be taken"):
            server.rows(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            try:
                return chunks.place_of_snapshot(conn) >= Place.load(fence)
            finally:
                conn.rollback()

    def plan(self, table: FoundTable) -> tuple[Plan, int, int | None] | None:
        """Return how to cut a table into ranges of its key; one whole chunk for a table without a key."""
        snapshot = self._config.snapshot
        with translated(f"table {table.name} cannot be measured"):
            return bounds.cut(
                self._connected(),
                table,
                mariadb=self._known().mariadb,
                chunk_rows=snapshot.chunk_rows,
                chunk_bytes=snapshot.chunk_mib << 20,
            )

    def connection(self) -> chunks.Access:
        """Return what a worker needs to connect."""
        return chunks.access(self._config, f"{self._application} snapshot", self._known().uid)

    def chunk_reader(self) -> Callable[[ChunkRequest], ChunkRead]:
        """Return the function that workers run."""
        return chunks.read_chunk

    def images(self, chunk: ChunkRead) -> Iterator[Columns]:
        """Yield the rows of a chunk, reading its file as they are wanted."""
        return iter(()) if chunk.path is None else file_images(chunk.path, len(chunk.schema.columns))

    def kernel(self, column: Column) -> Kernel:
        """Return how whole columns of this column's source form become Avro values."""
        return kernels.kernel(column, self._policy)

    def converter(self, column: Column) -> Callable[[bytes], object]:
        """Return how this column's source form becomes its Avro value."""
        return values.converter(column, self._policy)

    # --- state -----------------------------------------------------------------------------------------------------

    def lag_bytes(self) -> int | None:
        """Return how much log lies between what was read and the server's end of log."""
        if self._assembler is None:
            return None
        return bounds.distance(server.log_files(self._connected()), self._assembler.reached)

    def retained_bytes(self) -> int | None:
        """Return None: a server keeps its log for a time, whoever reads it."""
        return None

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._close_stream()
        if self._session is not None:
            chunks.drop(self._session)
        self._session = None

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = self._assembler = None

    def _connected(self) -> Connection[Any]:
        if self._session is None:
            raise SourceUnavailable("the source is not connected: prepare() comes first")
        return self._session

    def _known(self) -> Server:
        if self._server is None:
            raise SourceUnavailable("the source is not connected: prepare() comes first")
        return self._server

    def _streaming(self) -> tuple[Stream, Assembler]:
        if self._stream is None or self._assembler is None:
            raise SourceUnavailable("the stream is not open: start() comes first")
        return self._stream, self._assembler


def _count(setting: str) -> None:
    metrics.CAPTURE_ALTERED.labels(setting).inc()
