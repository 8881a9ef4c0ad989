"""MySQL and MariaDB as the source of a comparison: rows go into a temporary table at the target, and are hashed there.

No text of a value could be made alike on both servers for all types. So PostgreSQL itself makes it: the source's rows
are converted as capture and apply do, stored in columns of the target's own types, and compared by the target's
functions. The temporary table holds a batch at a time.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import pymysql

from capture.sources.mysql import catalog
from capture.sources.mysql.policy import Policy
from capture.sources.mysql.row_images.forms import UnreadableValue
from operate.validate.compare import NOTHING, Entry, Id, Seen, Sum
from operate.validate.mysql_rows import SORTED_ALIKE, MySQLTable, batches
from operate.validate.origin import Refusal, target_shape
from operate.validate.queries import EVERYTHING, Queries
from operate.validate.shape import Incompatible, Place, Plan, range_rows
from operate.validate.side import PostgresSide
from runtime import mysql, postgres
from runtime.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from pymysql.connections import Connection

    from capture.sources.mysql.catalog import TableFacts
    from operate.validate.queries import Bounds
    from operate.validate.shape import Shape
    from operate.validate.side import End, PostgresEnd
    from runtime.config import Pipeline, SourceConfig
    from schemas.positions import TableRecord

_STAGE: Final = ("pg_temp", "ferryman_validate")
_FOUND: Final = "pg_temp.ferryman_validate_found"
#: Batches of rows (see mysql_rows) in the temporary table at a time: about 50,000 rows.
_STAGED_BATCHES: Final = 25
#: Ids looked up by one statement.
_AT_ONCE: Final = 500
_FETCH: Final = 5_000

#: Emptied at every commit, by cutting its file: nothing is left in the catalogs or to vacuum.
_MAKE_STAGE: Final = "CREATE TEMP TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA"
_MAKE_FOUND: Final = f"CREATE TEMP TABLE IF NOT EXISTS {_FOUND} (b bigint, id text[], n bigint, h0 numeric, h1 numeric)"
_SETTINGS: Final = ("SET jit = off", "SET idle_in_transaction_session_timeout = 0")

#: A snapshot is one for all statements only at this level, whatever the server's default is.
_FROZEN: Final = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)

_SIZE: Final = """
SELECT TABLE_ROWS, AVG_ROW_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""


class MySQLOrigin:
    """See :class:`operate.validate.origin.Origin`."""

    def __init__(self, pipeline: Pipeline, source: SourceConfig) -> None:
        assert pipeline.target is not None
        self._source, self._target = source, pipeline.target.conninfo
        self._policy = Policy(infinity=source.zero_dates == "infinity", symbol=source.nul_characters == "symbol")
        self._tables: dict[tuple[str, str], MySQLTable] = {}

    def open(self) -> MySQLEnd:
        """Open a connection to the source, and one to the target for what is read there."""
        return MySQLEnd(self._source, self._target, self._tables)

    def plan(self, source: End, target: PostgresEnd, record: TableRecord) -> Plan:
        """Return how a table is compared, from both catalogs."""
        assert isinstance(source, MySQLEnd), "opened above"
        database, name = postgres.parse_name(record.table)
        facts, rows, row_bytes = source.describe(database, name)
        theirs = target_shape(target, record)
        table = described(facts, theirs, keyless=record.keyless, policy=self._policy)
        self._tables[database, name] = table
        key_types = tuple(column.type for k in table.key if (column := theirs.column(k)) is not None)
        travelling = tuple(meta.name for meta in table.metas)
        alike = all(column.type.kind in SORTED_ALIKE for _, column in table.key_columns)
        return Plan(
            Place(database, name, partitioned=False, key_types=key_types),
            Place(theirs.namespace, theirs.name, theirs.partitioned, key_types),
            travelling,
            table.key,
            ranged=bool(table.key) and alike and table.key in theirs.keys and _sorted(theirs, table.key),
            rows=rows,
            range_rows=range_rows(row_bytes),
            portable=False,
            fixed=any(column.fixed for column in theirs.columns if column.name in travelling),
            versioned=False,
        )


def described(facts: TableFacts, target: Shape, *, keyless: bool, policy: Policy) -> MySQLTable:
    """Return a table's columns as far as they travel; raises Incompatible when the target lacks one.

    A generated column that the target does not have never travelled: not every server logs its values.
    """
    try:
        version = catalog.version(facts, "mysql")
    except KeyError:
        raise Incompatible("it has a column of a type that is not carried") from None
    pairs = list(zip(version.columns, version.schema.columns, strict=True))
    pairs = [(m, c) for m, c in pairs if not m.generated or target.column(m.name) is not None]
    missing = [meta.name for meta, _ in pairs if target.column(meta.name) is None]
    if missing:
        raise Incompatible(f"the target has no column {', '.join(missing)}")
    keyed = sorted((meta.key_position, meta.name) for meta, _ in pairs if meta.key_position is not None)
    key = () if keyless else tuple(name for _, name in keyed)
    metas, columns = zip(*pairs, strict=True)
    return MySQLTable(facts.database, facts.table, metas, columns, key, policy)


def _sorted(target: Shape, key: tuple[str, ...]) -> bool:
    """Whether the target's key columns are numbers, too: somebody may have made the table with others."""
    numbers = ("int2", "int4", "int8", "numeric")
    return all((column := target.column(name)) is not None and column.type[1] in numbers for name in key)


class MySQLEnd:
    """An :class:`operate.validate.side.End`: a session at the source, and one at the target for its rows."""

    def __init__(self, source: SourceConfig, target: str, tables: dict[tuple[str, str], MySQLTable]) -> None:
        self._url, self._answer_s, self._tables = source.conninfo, source.answer_timeout_seconds, tables
        self._reader: Connection[Any] | None = self._connect()
        self.stage = postgres.connect(target, application_name="ferryman validate", autocommit=True)
        self._staged: Plan | None = None
        for setting in _SETTINGS:
            self.stage.execute(setting.encode())

    @property
    def lost(self) -> bool:
        """Whether the target's session is gone; the source's is opened again when it is needed."""
        return self.stage.closed

    def side(self, plan: Plan) -> MySQLSide:
        """Return the source's side of a table."""
        return MySQLSide(self, plan, self._tables[plan.source.namespace, plan.source.name])

    def cancel(self) -> None:
        """End what another thread has running."""
        postgres.cancel(self.stage)
        if self._reader is not None:
            self._reader._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - close() would read on

    def close(self) -> None:
        """End both sessions."""
        self.stage.close()
        if self._reader is not None and self._reader.open:
            self._reader.close()

    def describe(self, database: str, name: str) -> tuple[TableFacts, int, int]:
        """Return what the catalog says of a table, and its rows and bytes a row, about; raises Incompatible."""
        with self.reading(raw=False) as reader:
            with reader.cursor() as cursor:
                cursor.execute("SELECT VERSION() LIKE '%MariaDB%'")
                mariadb = cursor.fetchone() == (1,)
            found = catalog.describe(reader, database, name, mariadb=mariadb)
            if found is None:
                raise Incompatible("at the source there is no such table")
            with reader.cursor() as cursor:
                cursor.execute(_SIZE, (database, name))
                size = cursor.fetchone() or (None, None)
        return found, -1 if size[0] is None else int(size[0]), int(size[1] or 100)

    @contextmanager
    def reading(self, *, raw: bool = True) -> Iterator[Connection[Any]]:
        """Give a session at the source; its errors become Unreachable or Refusal."""
        try:
            if not raw:
                with self._connect(raw=False) as own:
                    yield own
                return
            if self._reader is None or not self._reader.open:
                self._reader = self._connect()
            yield self._reader
        except UnreadableValue as error:
            raise Refusal(f"the source has a value that cannot be read: {error}") from None
        except (pymysql.MySQLError, OSError) as error:
            if mysql.transient(error):
                raise Unreachable(mysql.describe(error), mysql.address(self._url)) from None
            raise Refusal(mysql.describe(error)) from None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all readings within it show one state of the source; raises Refusal when its session was lost."""
        with self.reading() as reader:
            with reader.cursor() as cursor:
                for statement in _FROZEN:
                    cursor.execute(statement)
            try:
                yield
            finally:
                if reader.open:
                    reader.rollback()
        if self._reader is not reader:
            raise Refusal("the session that read the source was lost")

    def prepare(self, plan: Plan) -> None:
        """See to it that the temporary table has this plan's columns."""
        if self._staged is plan:
            return
        self.stage.execute(f"DROP TABLE IF EXISTS {_name(*_STAGE)}".encode())
        columns = ", ".join(map(_name, plan.columns))
        make = _MAKE_STAGE.format(_name(_STAGE[1]), columns, _name(plan.target.namespace, plan.target.name))
        self.stage.execute(make.encode())
        self._staged = plan

    def _connect(self, *, raw: bool = True) -> Connection[Any]:
        return mysql.connect(self._url, program_name="ferryman validate", answer_s=self._answer_s, raw=raw)


class MySQLSide:
    """A :class:`operate.validate.side.Side` of a MySQL table. Raises psycopg.Error, Unreachable, Refusal."""

    def __init__(self, end: MySQLEnd, plan: Plan, table: MySQLTable) -> None:
        self._end, self._plan, self._table = end, plan, table
        place = Place(*_STAGE, partitioned=False, key_types=plan.target.key_types)
        self._queries = Queries(plan, place)
        self._staged = PostgresSide(end.stage, plan, place)

    def border(self, low: Id | None, rows: int) -> Id | None:
        """Return the key ``rows`` rows above ``low``; None when fewer are left."""
        with self._end.reading() as reader, reader.cursor() as cursor:
            cursor.execute(self._table.border(low, rows))
            row = cursor.fetchone()
        return None if row is None else tuple(value.decode() for value in row)

    def total(self, bounds: Bounds) -> Sum:
        """Return the sum of all rows within ``bounds``."""
        found = NOTHING
        for _ in self._batches(self._within(bounds)):
            found = _add(found, self._staged.total(EVERYTHING))
        return found

    def buckets(self, bounds: Bounds, mask: int) -> dict[int, Sum]:
        """Return the sums of the rows within ``bounds`` by bucket."""
        found: dict[int, Sum] = {}
        for _ in self._batches(self._within(bounds)):
            for bucket, some in self._staged.buckets(EVERYTHING, mask).items():
                found[bucket] = _add(found.get(bucket, NOTHING), some)
        return found

    def entries(self, bounds: Bounds, mask: int, buckets: list[int] | None) -> Iterator[Entry]:
        """Yield the ids within ``bounds`` and these buckets, by rising bucket hash; the target holds the rest."""
        stage = self._end.stage
        stage.execute(_MAKE_FOUND.encode())
        stage.execute(f"TRUNCATE {_FOUND}".encode())
        statement = self._queries.entries(EVERYTHING, mask, buckets)
        keep = f"INSERT INTO {_FOUND} SELECT b, id, n, h0::numeric, h1::numeric FROM ({{}}) e (b, id, n, h0, h1)"
        for _ in self._batches(self._within(bounds)):
            stage.execute(keep.format(statement.text).encode(), statement.parameters)
        with stage.transaction(), stage.cursor(f"found_{id(statement)}") as cursor:
            cursor.itersize = _FETCH
            query = f"SELECT b, id, sum(n), sum(h0)::text, sum(h1)::text FROM {_FOUND} GROUP BY 1, 2 ORDER BY 1"
            for bucket, one, rows, first, second in cursor.execute(query.encode()):
                yield Entry(bucket, tuple(one), Sum(int(rows), int(first), int(second)))

    def lookup(self, ids: list[Id]) -> dict[Id, Seen]:
        """Return these ids as they are now; absent ones are left out. A row's version is its contents."""
        found: dict[Id, Sum] = {}
        for where, some in self._asked(ids):
            for _ in self._batches(where):
                for one, seen in self._staged.lookup(some).items():
                    found[one] = _add(found.get(one, NOTHING), seen.sum)
        return {one: Seen(total, str(total)) for one, total in found.items()}

    def rows(self, ids: list[Id]) -> Iterator[bytes]:
        """Yield the rows of these ids as COPY text, which the target's own types have written."""
        for where, some in self._asked(ids):
            statement = self._queries.copy_out(some)
            for _ in self._batches(where):
                with self._end.stage.cursor().copy(statement.query, statement.parameters) as reader:
                    yield from map(bytes, reader)

    def frozen(self) -> AbstractContextManager[None]:
        """Have all readings within it show one state of the source."""
        return self._end.frozen()

    # --- parts -------------------------------------------------------------------------------------------------------

    def _asked(self, ids: list[Id]) -> Iterator[tuple[str, list[Id]]]:
        """Yield conditions with the ids that they find: by the key's index, or all rows where it cannot be asked."""
        if not ids:
            return
        if not self._table.askable:
            yield "TRUE", ids
            return
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            yield self._table.among(some), some

    def _within(self, bounds: Bounds) -> str:
        return self._table.within(bounds.low, bounds.high)

    def _batches(self, where: str) -> Iterator[None]:
        """Give the rows of a condition, a batch at a time, in the temporary table; at least one, which may be empty."""
        self._end.prepare(self._plan)
        with self._end.reading() as reader, batches(reader, self._table, where) as lines:
            while (first := next(lines, None)) is not None:
                with self._end.stage.transaction():
                    self._fill(chain([first], islice(lines, _STAGED_BATCHES - 1)))
                    yield

    def _fill(self, lines: Iterator[bytes]) -> None:
        copy = self._queries.copy_in(_STAGE[1])
        with self._end.stage.cursor().copy(copy.query) as writer:
            for data in lines:
                writer.write(data)


def _add(one: Sum, other: Sum) -> Sum:
    return Sum(one.rows + other.rows, one.first + other.first, one.second + other.second)


def _name(*parts: str) -> str:
    return postgres.quote(*parts)
