"""The demo's own proof, beside ``ferryman validate``: full contents compared, and every trace of a second apply."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operate import applied
from runtime import postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import psycopg

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"""

#: Row versions that a later transaction made, and all rows there are. The demo's servers are young: no wraparound.
_VERSIONS = "SELECT count(*) FILTER (WHERE xmin::text::bigint >= %s), count(*) FROM {table}"


@dataclass(frozen=True, slots=True)
class Equality:
    """Two tables compared in full: their rows, and how many would have to be deleted or inserted to make them equal."""

    table: str
    rows: int
    mismatches: int


def compare(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str) -> Equality:
    """Compare two tables by every value of every row, as text; columns that differ make every row differ."""
    columns = _columns(source, table)
    total = _count(source, table)
    if columns != _columns(target, table):
        return Equality(table, total, max(1, total))
    query = _ordered(table, columns)
    with ThreadPoolExecutor(2) as both:
        ours, theirs = both.map(lambda side: _digest(_lines(side, query)), (source, target))
    if ours == theirs:
        return Equality(table, total, 0)
    return Equality(table, total, max(1, differences(_lines(source, query), _lines(target, query))))


def differences(ours: Iterable[bytes], theirs: Iterable[bytes]) -> int:
    """Return how many lines would have to be removed or added to make one side the other; their order is nothing."""
    left, right = Counter(ours), Counter(theirs)
    return (left - right).total() + (right - left).total()


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Return the type of each column by its name."""
    found: dict[str, str] = dict(connection.execute(_COLUMNS, [table]).fetchall())
    return found


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def _ordered(table: str, columns: Mapping[str, str]) -> str:
    row = ", ".join(map(postgres.quote, sorted(columns)))
    return (
        f'COPY (SELECT line FROM (SELECT ROW({row})::text AS line FROM {table}) t ORDER BY line COLLATE "C") TO STDOUT'
    )


def _lines(connection: psycopg.Connection[Any], query: str) -> Iterator[bytes]:
    with connection.cursor().copy(query) as copy:
        yield from map(bytes, copy)


def _digest(lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


# --- was anything applied again? -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """The target at one moment: apply's own counters, its next offsets, and the next transaction id of the server."""

    events: int
    offsets: Mapping[tuple[str, int], int]
    next_transaction: int
    rows: int


@dataclass(frozen=True, slots=True)
class Reapplied:
    """What a restart did to the target: events counted, offsets moved, rows written or gone. All should be 0."""

    events: int
    messages: int
    rows: int

    @property
    def worst(self) -> int:
        """The greatest of them."""
        return max(self.events, self.messages, self.rows)


def stand(target: psycopg.Connection[Any], pipeline: str, tables: Iterable[str]) -> Standing:
    """Return where the target stands."""
    row = target.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert row is not None
    found = applied.read(target, pipeline)
    events = sum(t.inserts + t.updates + t.deletes + t.snapshot_rows + t.rejected for t in found.tables.values())
    offsets = {place: checkpoint.next_offset for place, checkpoint in found.checkpoints.items()}
    return Standing(events, offsets, int(row[0]), sum(_count(target, table) for table in tables))


def since(target: psycopg.Connection[Any], pipeline: str, tables: list[str], before: Standing) -> Reapplied:
    """Return what happened to the target since ``before``: told by apply, and by PostgreSQL's own row versions."""
    now = stand(target, pipeline, tables)
    places = before.offsets.keys() | now.offsets.keys()
    written = 0
    for table in tables:
        row = target.execute(_VERSIONS.format(table=table), [before.next_transaction]).fetchone()
        written += int(row[0]) if row else 0
    return Reapplied(
        events=abs(now.events - before.events),
        messages=sum(abs(now.offsets.get(place, 0) - before.offsets.get(place, 0)) for place in places),
        rows=written + abs(now.rows - before.rows),
    )
