"""Rewrites by USING: ``ALTER COLUMN v TYPE text USING left(v, 3)`` puts nothing into the log.

If types are the same before and after, or wider ones, :mod:`capture.sources.postgres.steps` sees no loss. What tells is
that the table got new files (as VACUUM FULL and TRUNCATE give it too) and a column's row in the catalog was written
anew (as SET STATISTICS does too): both between two looks. The stamps last seen are saved with the resume point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from capture.sources.postgres.dumped import dumped
from capture.sources.postgres.faults import translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from capture.source import FoundTable

_STAMPS: Final = """
SELECT c.oid,
       ARRAY(SELECT pg_relation_filenode(f.oid)::bigint
             FROM (SELECT c.oid UNION SELECT relid FROM pg_partition_tree(c.oid)) f
             WHERE pg_relation_filenode(f.oid) IS NOT NULL ORDER BY 1),
       ARRAY(SELECT ARRAY[a.attnum::text, a.attname::text, a.xmin::text, a.atttypid::text, a.atttypmod::text,
                          a.atthasmissing::text]
             FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_class c WHERE c.oid = ANY (%s::oid[])"""


#: The oids of int2, int4 and int8.
_INTEGERS: Final = frozenset({"21", "23", "20"})


@dataclass(frozen=True, slots=True)
class Column:
    """What a column's row in the catalog says: ``written`` is the transaction that wrote it.

    ``missing``: rows older than the column have its value in the catalog alone.
    """

    name: str
    written: str
    type: tuple[str, str]
    missing: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """The files that a table's rows lie in, and its columns by attnum."""

    files: frozenset[int]
    columns: Mapping[int, Column]


class Rewrites:
    """The stamps of every followed table as they were when the catalog was last looked at."""

    def __init__(self) -> None:
        self._stamps: dict[int, Stamp] = {}
        self._dumped: dict[str, Any] = {}

    def see(self, conn: psycopg.Connection[Any], tables: Iterable[FoundTable]) -> dict[str, str]:
        """Look at the tables; return by name those whose values may have been rewritten, with the reason."""
        names = {int(table.identity["oid"]): table.name for table in tables}
        with translated("the catalog cannot be read"):
            now = _stamps(conn, list(names))
        reasons = {names[oid]: loss(self._stamps[oid], stamp) for oid, stamp in now.items() if oid in self._stamps}
        self._set(now)
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def note(self, conn: psycopg.Connection[Any], oid: int) -> None:
        """A snapshot of the table opens: what was before counts no more. Raises psycopg.Error."""
        self._set(self._stamps | _stamps(conn, [oid]))

    def dump(self) -> dict[str, Any]:
        """Return the stamps as JSON, for the resume point; the same object while nothing changed."""
        return self._dumped

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up the stamps of a resume point."""
        self._set({int(oid): _parsed(files, columns) for oid, (files, columns) in saved.items()})

    def _set(self, stamps: dict[int, Stamp]) -> None:
        if stamps != self._stamps:
            self._dumped = dumped(stamps, self._stamps, self._dumped, _written)
            self._stamps = stamps


def loss(before: Stamp, now: Stamp) -> str | None:
    """Return why a table's rows may have other values than were published; None when they have not. Pure.

    Any rewrite writes the values that the catalog held for older rows into the rows, and their columns anew. A wider
    integer writes the table anew with or without USING; any other change of type that keeps all values does not.
    """
    if not before.files - now.files:
        return None
    altered = [
        (before.columns[number], column)
        for number, column in now.columns.items()
        if number in before.columns and before.columns[number].written != column.written
    ]
    widened = any(
        known.type != column.type and {known.type[0], column.type[0]} <= _INTEGERS for known, column in altered
    )
    for known, column in altered:
        if not (widened and known.type != column.type) and not (known.missing and not column.missing):
            return f"column {column.name} was altered and the table rewritten: its values may be others"
    return None


def _stamps(conn: psycopg.Connection[Any], oids: list[int]) -> dict[int, Stamp]:
    rows = conn.execute(_STAMPS, [oids]).fetchall()
    return {int(oid): _parsed(files, columns) for oid, files, columns in rows}


def _parsed(files: Iterable[int], columns: Iterable[list[str]]) -> Stamp:
    return Stamp(
        frozenset(map(int, files)),
        {
            int(number): Column(name, written, (type_oid, typmod), missing == "true")
            for number, name, written, type_oid, typmod, missing in columns
        },
    )


def _written(stamp: Stamp) -> list[Any]:
    columns = [
        [str(number), c.name, c.written, *c.type, "true" if c.missing else "false"]
        for number, c in stamp.columns.items()
    ]
    return [sorted(stamp.files), columns]
