"""Events of the log into blocks: transactions, images, table versions, and where the stream can be resumed. Pure.

The stream is resumed between two transactions alone: in the middle of one, rows no longer have their table maps. A
transaction ends with its XID or COMMIT, or with its one statement.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from capture.source import Batch, SourceError, is_full
from capture.sources.mysql.changes import TRUNCATE, Reading, block_of
from capture.sources.mysql.gathering import Gatherer
from capture.sources.mysql.held import Held
from capture.sources.mysql.log import binlog, ddl, payload
from capture.sources.mysql.log.coordinates import FIRST, Place
from capture.sources.mysql.row_images import rows
from capture.sources.mysql.row_images.forms import UnreadableValue
from capture.sources.mysql.row_images.splitting import PartialValue
from capture.sources.mysql.visibility import transaction_id
from schemas.block import Transaction
from schemas.columnar.encode import FEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from capture.runs import Run
    from capture.sources.mysql.following import Followed, Follower
    from capture.sources.mysql.log.binlog import Gtid, Header
    from capture.sources.mysql.log.positions import Standing
    from capture.sources.mysql.row_images.rows import RowEvent
    from schemas.columnar.block import AnyBlock

_MICROSECONDS: Final = 1_000_000
_OFFSETS: Final = 1 << 32
_REPORT: Final = "report it, with the server's version"

PARTIAL = "a row of it was logged without all its columns (binlog_row_image is not FULL, or was not for a session)"
PARTIAL_JSON = "a row of it was logged with differences of a JSON value that do not fit the old one (PARTIAL_JSON)"
STATEMENT = "changes of it were logged as a statement, without its rows (binlog_format was not ROW for a session)"
OUTDATED = "a column was added with a value for older rows, and altered again before we could see which"
UNFINISHED_ROLLBACK = "a transaction was rolled back in part, and the log has its rows nevertheless"
FOREIGN_XA = "an XA transaction was committed whose rows were logged before capture began to read"


class Assembler:
    """Feed it every event; :meth:`take` what has come of them. Blocks go by column from ``fewest`` rows on.

    A transaction that comes at once, compressed or prepared, stops at ``most`` rows, until :meth:`pump`.
    """

    def __init__(self, standing: Standing, follower: Follower, fewest: int = FEWEST) -> None:
        self._fewest = fewest
        self._gathered = Gatherer(self._lose)
        self._steps: list[Iterator[None]] = []
        self.standing = standing
        self.news = False
        self._follower = follower
        self._readings: dict[str, Reading] = {}
        self._maps: dict[int, Followed | None] = {}
        self._known: dict[bytes, Followed | None] = {}
        self._lost: dict[str, str] = {}
        self._muted: set[str] = set()
        self._at: Transaction | None = None
        self._place = standing.place or Place.of("log.0", FIRST)
        self._placed = standing.place is not None
        self._gtid: Gtid | None = None
        self._begun = False
        self._begin_place = self._place
        self._touched: set[str] = set()
        self._before_prepared: Standing | None = None
        self._prepared: dict[bytes, Held] = {}
        self._holding: Held | None = None
        self._handlers: Final[dict[int, Callable[[Header, bytes], None]]] = {
            binlog.HEARTBEAT: self._heartbeat,
            binlog.ROTATE: self._rotate,
            binlog.FORMAT: self._format,
            binlog.MARIADB_GTID: lambda head, body: self._begin(head, binlog.mariadb_gtid(head, body)),
            binlog.GTID: lambda head, body: self._begin(head, binlog.mysql_gtid(body, anonymous=False)),
            binlog.ANONYMOUS_GTID: lambda head, body: self._begin(head, binlog.mysql_gtid(body, anonymous=True)),
            binlog.GTID_TAGGED: lambda head, body: self._begin(head, binlog.tagged_gtid(body)),
            binlog.QUERY: self._query,
            binlog.MARIADB_QUERY_COMPRESSED: self._query,
            binlog.EXECUTE_LOAD: self._query,
            binlog.XID: lambda _head, _body: self._commit(),
            binlog.XA_PREPARE: self._xa_prepare,
            binlog.TABLE_MAP: self._table_map,
            binlog.PAYLOAD: self._payload,
            binlog.INCIDENT: self._incident,
            **dict.fromkeys(rows.ROW_EVENTS, self._rows),
        }

    @property
    def rows(self) -> int:
        """How many rows were gathered: exactly from ``most`` on, below it about so many."""
        return self._gathered.rows

    @property
    def most(self) -> int:
        """How many rows a batch should have."""
        return self._gathered.most

    @most.setter
    def most(self, rows: int) -> None:
        self._gathered.most = rows

    @property
    def between(self) -> bool:
        """Whether no transaction is open."""
        return self._gtid is None

    @property
    def reached(self) -> Place:
        """How far the log was read to the end of a transaction."""
        return self._place if self._gtid is None else self._begin_place

    @property
    def resume(self) -> Standing:
        """Where the stream can be resumed: before the oldest XA transaction that is prepared and not committed."""
        return self._before_prepared or self.standing

    @property
    def at(self) -> Transaction | None:
        """The transaction that was read last, or is being read."""
        return self._at

    def take(self) -> Batch:
        """Return everything gathered since the last call."""
        blocks = [block for block in map(self._block, self._gathered.take()) if block is not None]
        batch = Batch(blocks, self._at, self.resume.dump(), self.between, self._lost)
        self._lost = {}
        self._muted.clear()
        self.news = False
        return batch

    def _block(self, run: Run[Reading, bytes]) -> AnyBlock | None:
        """Return the rows of a run; None when one cannot be read: the table is lost, so none of them counts."""
        try:
            return block_of(run, self._fewest)
        except (UnreadableValue, rows.RowsError) as error:
            self._lose(run.version.name, f"a row of it cannot be read: {error}")
            return None

    def revise(self) -> None:
        """Ask for every table's version again before its next rows: the catalog has changed beside the log."""
        self._known.clear()
        self._maps.clear()

    # --- the log ---------------------------------------------------------------------------------------------------

    def feed(self, head: Header, body: bytes) -> None:
        """Take in one event; raises SourceError for a log that cannot be read."""
        handler = self._handlers.get(head.kind)
        if not head.flags & binlog.ARTIFICIAL and head.kind != binlog.HEARTBEAT and (head.end or self._gtid):
            self._move(head)
        if handler is not None:
            handler(head, body)
        if self._steps or self._gtid is None:
            self.pump()

    def pump(self) -> None:
        """Go on with a transaction that comes at once as a whole, while there is room for rows."""
        while self._steps:
            steps = self._steps[-1]
            if next(steps, self) is self:
                self._steps.remove(steps)
            elif is_full(self.rows, self.most, between=self.between):
                return
        if self._gtid is None:
            self._settle()

    def _move(self, head: Header) -> None:
        """Go to the end of an event; its own word has 32 bits only, and events inside a transaction may have none."""
        number, offset, file = self._place
        offset += head.size
        if head.end and offset % _OFFSETS != head.end:
            offset = head.end
        self._place = Place(number, offset, file)

    def _settle(self) -> None:
        """Take up the place, unless the server may still be skipping transactions from there on that were read."""
        if self._placed and self._place != self.standing.place:
            self.standing = self.standing.at(self._place)

    def _heartbeat(self, head: Header, body: bytes) -> None:
        """Nothing more comes before this place: so far the server has read its log for us."""
        if self._gtid is not None:
            return
        place = Place.of(body.decode(), head.end)
        beyond = self._place.offset - self._place.offset % _OFFSETS if place.file == self._place.file else 0
        self._place = max(self._place, place._replace(offset=beyond + head.end))
        self._placed = True

    def _rotate(self, _head: Header, body: bytes) -> None:
        file, offset = binlog.rotate(body)
        if self._gtid is not None:
            raise SourceError("the log breaks off in the middle of a transaction", _REPORT)
        if file != self._place.file:
            self._place = Place.of(file, offset)
            self.standing = replace(self.standing, born=0)

    def _format(self, head: Header, _body: bytes) -> None:
        """Table ids count anew in every file. The server sends the head of a file first, wherever it then begins."""
        self._maps.clear()
        self.standing = replace(self.standing, born=self.standing.born or head.seconds)

    def _incident(self, _head: Header, _body: bytes) -> None:
        for name in self._follower.all_names():
            self._lost[name] = "the server could not log some changes (an incident event)"

    # --- transactions ----------------------------------------------------------------------------------------------

    def _begin(self, head: Header, gtid: Gtid) -> None:
        self._gtid = gtid
        self._begin_place = self._place._replace(offset=self._place.offset - head.size)
        self._holding = Held() if gtid.prepared else None
        self._begun = not gtid.standalone and head.kind == binlog.MARIADB_GTID
        committed_us = gtid.committed_us if gtid.committed_us is not None else head.seconds * _MICROSECONDS
        self._at = Transaction(
            self.standing.next_position,
            committed_us,
            transaction_id(self._begin_place, head.server_id, gtid.gtid),
        )
        self._gathered.begin(self._at)

    def _commit(self) -> None:
        if self._gtid is None:
            return
        self._gathered.commit()
        self.standing = self.standing.behind(self._gtid.gtid)
        if not self._prepared:
            self._before_prepared = None
        self._gtid, self._holding = None, None
        self._placed = True
        self._touched.clear()
        self.news = True

    def _payload(self, _head: Header, body: bytes) -> None:
        """A whole transaction in one event."""
        self._steps.append(self._unpacked(payload.payload(body)))

    def _unpacked(self, held: payload.Payload) -> Iterator[None]:
        """Its own events do not move the place."""
        for inner, data in payload.events(held):
            handler = self._handlers.get(inner.kind)
            if handler is not None:
                handler(inner, data)
            yield

    def _query(self, head: Header, body: bytes) -> None:
        query = binlog.query(head.kind, body)
        word = query.text[:12].upper()
        if word.startswith((b"BEGIN", b"SAVEPOINT")):
            self._begun = True
        elif word.startswith(b"COMMIT"):
            self._commit()
        elif word.startswith(b"ROLLBACK"):
            self._rollback(whole=b" TO " not in query.text.upper())
        elif word.startswith(b"XA "):
            self._xa(query.text)
        else:
            self._statement(query)

    def _rollback(self, *, whole: bool) -> None:
        """Rows of tables without transactions stay, so the log has them beside others that were taken back."""
        for name in self._touched:
            self._lose(name, UNFINISHED_ROLLBACK)
        if whole:
            self._commit()

    def _statement(self, query: binlog.Query) -> None:
        """A statement that was logged as such: a change of tables, or of what they hold."""
        for effect in ddl.effects(query.text, query.database):
            if effect.kind is ddl.Kind.TRUNCATED:
                self._truncate(effect)
            elif effect.kind is ddl.Kind.REPLACED:
                self._follower.replaced(effect, str(self._begin_place))
            elif effect.kind is ddl.Kind.RESHUFFLED:
                for name in self._follower.concerned(effect):
                    self._lose(name, "a statement moved or removed rows that the log does not have (ALTER TABLE)")
            elif effect.kind is ddl.Kind.WRITTEN:
                for name in self._follower.concerned(effect):
                    self._lose(name, STATEMENT)
            else:
                for name in self._follower.outdated(effect, self._begin_place):
                    self._lose(name, OUTDATED)
        self.revise()
        if not self._begun and not query.text.rstrip().upper().endswith(b"START TRANSACTION"):
            self._commit()

    def _truncate(self, effect: ddl.Effect) -> None:
        found = self._follower.truncated(effect)
        if found is not None:
            name, schema = found
            known = self._readings.get(name)
            reading = known if known is not None and known.schema == schema else Reading.without_rows(name, schema)
            self._gathered.add(self._same(reading), [TRUNCATE])

    # --- XA --------------------------------------------------------------------------------------------------------

    def _xa(self, text: bytes) -> None:
        verb = text.split(None, 2)[1].upper()
        if verb in (b"START", b"BEGIN"):
            self._holding, self._begun = Held(), True
        elif verb == b"COMMIT":
            self._xa_commit(binlog.xid_of_statement(text))
        elif verb == b"ROLLBACK":
            self._prepared.pop(binlog.xid_of_statement(text), Held()).close()
            self._commit()

    def _xa_prepare(self, _head: Header, body: bytes) -> None:
        """The rows of an XA transaction are in the log when it is prepared, and count when it is committed."""
        one_phase, xid = binlog.xa_prepare(body)
        held, self._holding = self._holding or Held(), None
        if one_phase:
            self._steps.append(self._replayed(held))
            return
        self._before_prepared = self._before_prepared or replace(self.standing, place=self._begin_place)
        self._prepared[xid] = held
        self._commit()

    def _xa_commit(self, xid: bytes) -> None:
        held = self._prepared.pop(xid, None)
        if held is None:
            for name in self._follower.all_names():
                self._lost[name] = FOREIGN_XA
            self._commit()
        else:
            self._steps.append(self._replayed(held))

    def _replayed(self, held: Held) -> Iterator[None]:
        for reading, found in held.parts():
            if reading.name not in self._muted:
                self._gathered.add(self._same(reading), found)
                yield
        held.close()
        self._commit()

    # --- rows ------------------------------------------------------------------------------------------------------

    def _table_map(self, _head: Header, body: bytes) -> None:
        table_id, key = rows.table_id_of(body), body[6:]
        if key not in self._known:
            self._known[key] = self._followed(body)
        self._maps[table_id] = self._known[key]

    def _followed(self, body: bytes) -> Followed | None:
        followed = self._follower.follow(body)
        if followed is None:
            return None
        if followed.lost is not None:
            self._lose(followed.name, followed.lost)
        return followed if followed.reading is None else replace(followed, reading=self._same(followed.reading))

    def _lose(self, name: str, reason: str) -> None:
        """Rows behind the point where a table was lost stay out of the batch that says so: they do not continue it."""
        self._lost[name] = reason
        self._muted.add(name)

    def _rows(self, head: Header, body: bytes) -> None:
        if self._gtid is None:
            raise SourceError("the log has rows outside of a transaction", _REPORT)
        followed = self._maps.get(rows.table_id_of(body))
        if followed is None or followed.name in self._muted:
            return
        reading = followed.reading
        if reading is None:
            self._lose(followed.name, followed.unreadable or "")
            return
        self._touched.add(followed.name)
        event = rows.event(head.kind, body)
        if not event.complete:
            self._lose(followed.name, PARTIAL)
            return
        if self._holding is None and not event.partial:
            self._gathered.add_event(reading, event)
        else:
            self._at_once(reading, event)

    def _at_once(self, reading: Reading, event: RowEvent) -> None:
        """Split an event of an XA transaction, which is kept as rows, or one whose JSON values may be differences."""
        try:
            found = reading.split(event)
        except PartialValue:
            self._lose(reading.name, PARTIAL_JSON)
        except rows.RowsError as error:
            self._lose(reading.name, f"a row of it cannot be read: {error}")
        else:
            if self._holding is not None:
                self._holding.add(reading, found)
            elif found:
                self._gathered.add(reading, found)

    def _same(self, reading: Reading) -> Reading:
        """Return the object that stood for an equal version before, so that rows stay in one block."""
        known = self._readings.get(reading.name)
        if known != reading:
            known = self._readings[reading.name] = reading
        return known
