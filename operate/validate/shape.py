"""What two tables have in common: the columns that are compared, the key, and how rows can be told apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Column:
    """A column as one server's catalog shows it.

    ``type`` is the type's (schema, name). ``bytewise``: its values sort by their bytes (collation C), or have no
    collation at all. ``fixed``: UPDATE may not set it (GENERATED ALWAYS AS IDENTITY).
    """

    name: str
    type: tuple[str, str]
    bytewise: bool = True
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as one server's catalog shows it.

    ``keys`` are the column lists of unique indexes over columns that are NOT NULL, the primary key's first, the
    replica identity's next. ``rows`` and ``row_bytes`` are estimates; ``rows`` is -1 where there is none.
    ``partitioned``: its rows lie in partitions. ``utf8``: the server stores text as UTF-8.
    """

    namespace: str
    name: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    rows: int = -1
    row_bytes: int = 100
    partitioned: bool = False
    utf8: bool = True

    def column(self, name: str) -> Column | None:
        """Return the column of this name, if there is one."""
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one side of a comparison lies: a table, and the types of its key columns there.

    ``forms`` has, by column, the SQL (``{c}``: the column) for values that the other side writes in another form.
    """

    namespace: str
    name: str
    partitioned: bool
    key_types: tuple[tuple[str, str], ...]
    forms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How two tables are compared.

    ``key`` is empty when rows are known by their contents only. ``ranged``: both sides sort the key alike and have an
    index on it, so the table can be walked in key ranges of ``range_rows`` rows. ``portable``: the servers' own hash
    functions do not serve (another encoding, another byte order), so md5 over UTF-8 does. ``fixed``: the target has a
    column among them that UPDATE may not set. ``versioned``: the source tells versions of a row apart.
    """

    source: Place
    target: Place
    columns: tuple[str, ...]
    key: tuple[str, ...]
    ranged: bool
    rows: int
    range_rows: int
    portable: bool
    fixed: bool = False
    versioned: bool = True


class Incompatible(Exception):
    """The tables cannot be compared; the message says why, in names only."""


#: Types of pg_catalog that sort alike on every server.
_SORTED_ALIKE: Final = frozenset(
    {"bool", "bytea", "char", "date", "float4", "float8", "int2", "int4", "int8", "interval", "money", "numeric"}
    | {"oid", "pg_lsn", "time", "timestamp", "timestamptz", "timetz", "uuid"}
)
#: Types that do so where the collation is C and the encoding is the same.
_SORTED_BY_BYTES: Final = frozenset({"text", "varchar", "bpchar", "name"})

#: A range is hashed by one statement: about a second of work, and small enough to look into when it differs.
_RANGE_BYTES: Final = 64 * 1024 * 1024
_MOST_RANGE_ROWS: Final = 20_000
_FEWEST_RANGE_ROWS: Final = 200


def plan(source: Shape, target: Shape, *, keyless: bool, same_hash: bool) -> Plan:
    """Return how to compare ``source`` with ``target``; extra columns of the target do not count.

    ``keyless``: the events carry no key. ``same_hash``: both servers' hash functions agree. Raises Incompatible.
    """
    missing = [c.name for c in source.columns if target.column(c.name) is None]
    if missing:
        raise Incompatible(f"the target has no column {', '.join(missing)}")
    key = source.keys[0] if source.keys and not keyless else ()
    return Plan(
        replace(_place(source, key), forms=_forms(source, target)),
        _place(target, key),
        tuple(c.name for c in source.columns),
        key,
        ranged=bool(key) and key in target.keys and all(_sorted_alike(source, target, name) for name in key),
        rows=source.rows,
        range_rows=range_rows(source.row_bytes),
        portable=not (same_hash and source.utf8 and target.utf8),
        fixed=any(c.fixed for c in target.columns if source.column(c.name) is not None),
    )


def range_rows(row_bytes: int) -> int:
    """Return how many rows of about this size make a range."""
    return max(_FEWEST_RANGE_ROWS, min(_MOST_RANGE_ROWS, _RANGE_BYTES // max(1, row_bytes)))


def _forms(source: Shape, target: Shape) -> tuple[tuple[str, str], ...]:
    pairs = [(ours, target.column(ours.name)) for ours in source.columns]
    found = [(ours.name, _form(ours.type, theirs.type)) for ours, theirs in pairs if theirs is not None]
    return tuple((name, form) for name, form in found if form is not None)


def _form(ours: tuple[str, str], theirs: tuple[str, str]) -> str | None:
    """Return how a column of one type is written as one of another, where a rule of ``types`` has made it that."""
    if ours == theirs or {ours[0], theirs[0]} != {"pg_catalog"}:
        return None
    exact = _EXACT.get((ours[1], theirs[1]))
    if exact is None and theirs[1] in _READ_ANEW:
        return f"{{c}}::text::{theirs[1]}"
    return exact


_IN_UTC: Final = "{c} AT TIME ZONE 'UTC'"
#: Another number than 0 and 1 is shown as it is: it is no truth value, and must not end the comparison.
_TRUTH: Final = "CASE {c}::text WHEN '0' THEN 'f' WHEN '1' THEN 't' ELSE {c}::text END"
#: As apply writes it: all six digits of a fraction, or none.
_TIME_AS_TEXT: Final = (
    "CASE WHEN isfinite({c}) AND extract(year FROM {c}) BETWEEN 1 AND 9999 AND date_trunc('second', {c}) <> {c} "
    "THEN to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US') ELSE {c}::text END"
)
#: By types of source and target: only where the text of a value is not the same in both.
_EXACT: Final = {
    **{(number, "bool"): _TRUTH for number in ("int2", "int4", "int8", "bit")},
    **{("timestamp", text): _TIME_AS_TEXT for text in ("text", "varchar")},
    ("timestamp", "timestamptz"): _IN_UTC,
    ("timestamptz", "timestamp"): _IN_UTC,
    ("float4", "float8"): "{c}::float8",
}
#: Types that have a spelling of their own, whatever text they were read from.
_READ_ANEW: Final = frozenset({"jsonb", "uuid", "inet"})


def _place(shape: Shape, key: tuple[str, ...]) -> Place:
    types = tuple(column.type for name in key if (column := shape.column(name)) is not None)
    return Place(shape.namespace, shape.name, shape.partitioned, types)


def _sorted_alike(source: Shape, target: Shape, name: str) -> bool:
    ours, theirs = source.column(name), target.column(name)
    if ours is None or theirs is None or ours.type != theirs.type or ours.type[0] != "pg_catalog":
        return False
    kind = ours.type[1]
    if kind in _SORTED_BY_BYTES:
        return ours.bytewise and theirs.bytewise and source.utf8 and target.utf8
    return kind in _SORTED_ALIKE
