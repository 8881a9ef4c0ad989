"""The SQL of a comparison: what is hashed, summed and listed, for one side of a plan. Pure.

A row's text is PostgreSQL's own text of the record of the compared columns, in the source's order: values come as their
types write them (the form in which they travel), NULL and the empty string differ, and no two rows share a text. Its
two 64-bit hashes are summed, so the order of rows does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runtime.postgres import quote

if TYPE_CHECKING:
    from operate.validate.shape import Place, Plan

#: Tells one version of a row from the next: an UPDATE writes another, with other system columns.
_VERSION: Final = "hashtextextended(t.tableoid::text || ' ' || t.ctid::text || ' ' || t.xmin::text, 0)"


@dataclass(frozen=True, slots=True)
class Bounds:
    """A key range, as texts of the key columns: above ``low``, up to and including ``high``; None: no border."""

    low: tuple[str, ...] | None = None
    high: tuple[str, ...] | None = None


#: All rows.
EVERYTHING: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with ``%s`` placeholders, and what belongs there."""

    text: str
    parameters: tuple[object, ...] = ()

    @property
    def query(self) -> bytes:
        """The text as psycopg takes SQL that was put together at run time."""
        return self.text.encode()


class Queries:
    """The statements for one side. ``id`` is the key as texts; without a key, the row's hashes."""

    def __init__(self, plan: Plan, place: Place) -> None:
        self._place = place
        self._keyed = bool(plan.key)
        self._portable = plan.portable
        self._whole = _name(place.namespace, place.name)
        self._table = ("" if place.partitioned else "ONLY ") + self._whole
        self._names, self._key_names = plan.columns, plan.key
        self._forms = dict(place.forms)
        self._row = f"ROW({', '.join(map(self._value, plan.columns))})::text"
        self._key = tuple(_column(name) for name in plan.key)
        self._key_record = _record(plan.key)

    def border(self, low: tuple[str, ...] | None, rows: int) -> Statement:
        """Return the key ``rows`` rows above ``low``; no row when fewer are left."""
        where, parameters = self._where(Bounds(low))
        keys = ", ".join(self._key)
        return Statement(
            f"SELECT {self._texts()} FROM {self._table} t WHERE {where} ORDER BY {keys} OFFSET %s LIMIT 1",
            (*parameters, rows - 1),
        )

    def total(self, bounds: Bounds) -> Statement:
        """Return (0, rows, two sums) of all rows within ``bounds``."""
        where, parameters = self._where(bounds)
        return Statement(
            f"SELECT 0, count(*), {_SUMS} FROM (SELECT {self._hashes('r')} FROM "
            f"(SELECT {self._text(self._row)} AS r FROM {self._table} t WHERE {where} OFFSET 0) x) h",
            parameters,
        )

    def buckets(self, bounds: Bounds, mask: int) -> Statement:
        """Return (bucket, rows, two sums) for each bucket of the rows within ``bounds``."""
        inner, parameters = self._hashed(bounds)
        return Statement(f"SELECT (b & {mask})::int, count(*), {_SUMS} FROM ({inner}) h GROUP BY 1", parameters)

    def entries(self, bounds: Bounds, mask: int, buckets: list[int] | None) -> Statement:
        """Return (bucket hash, id, rows, two sums) of each id in these buckets, by rising bucket hash."""
        inner, parameters = self._hashed(bounds)
        wanted = "" if buckets is None else f" WHERE (b & {mask})::int = ANY (%s::int[])"
        return Statement(
            f"SELECT b, {self._id()}, count(*), {_SUMS} FROM ({inner}) h{wanted} GROUP BY 1, 2 ORDER BY 1",
            parameters if buckets is None else (*parameters, buckets),
        )

    def lookup(self, ids: list[tuple[str, ...]]) -> Statement:
        """Return (id, rows, two sums, version) of these ids, as far as they are there."""
        where, parameters = self._among(ids)
        inner, _ = self._hashed(EVERYTHING, where, version=True)
        return Statement(
            f"SELECT {self._id()}, count(*), {_SUMS}, sum(v)::text FROM ({inner}) h GROUP BY 1", parameters
        )

    # --- repair --------------------------------------------------------------------------------------------------

    def copy_out(self, ids: list[tuple[str, ...]]) -> Statement:
        """Copy the rows of these ids out, as COPY text of the compared columns."""
        where, parameters = self._among(ids)
        columns = ", ".join(map(self._value, self._names))
        return Statement(f"COPY (SELECT {columns} FROM {self._table} t WHERE {where}) TO STDOUT", parameters)

    def copy_in(self, stage: str | None) -> Statement:
        """Take rows in, as COPY text of the compared columns: into the table, or into a ``stage``."""
        return Statement(f"COPY {_name(stage) if stage else self._whole} ({', '.join(self._columns())}) FROM STDIN")

    def make_stage(self, stage: str) -> Statement:
        """Make an empty temporary table with the compared columns, which lives as long as the transaction."""
        columns = ", ".join(self._columns())
        return Statement(
            f"CREATE TEMP TABLE {_name(stage)} ON COMMIT DROP AS SELECT {columns} FROM {self._whole} WITH NO DATA"
        )

    def update_from(self, stage: str) -> Statement:
        """Give the rows of the ``stage`` to the rows with their keys; other columns of the table keep theirs."""
        keys = list(map(_name, self._key_names))
        rest = [c for c in self._columns() if c not in keys]
        sets = ", ".join(f"{c} = s.{c}" for c in rest)
        same = " AND ".join(f"t.{c} = s.{c}" for c in keys)
        return Statement(f"UPDATE {self._table} t SET {sets} FROM {_name('pg_temp', stage)} s WHERE {same}")

    def drop_stage(self, stage: str) -> Statement:
        """Drop the stage before the transaction ends."""
        return Statement(f"DROP TABLE {_name('pg_temp', stage)}")

    def delete(self, ids: list[tuple[str, ...]]) -> Statement:
        """Delete the rows of these ids."""
        where, parameters = self._among(ids)
        return Statement(f"DELETE FROM {self._table} t WHERE {where}", parameters)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _hashed(self, bounds: Bounds, also: str = "true", *, version: bool = False) -> tuple[str, tuple[object, ...]]:
        """Return rows as (b, h0, h1[, key texts][, version]); OFFSET 0 has each text made once, not once per hash."""
        where, parameters = self._where(bounds)
        made, carried = [f"{self._text(self._row)} AS r"], []
        if self._keyed:
            made += [f"{self._text(self._key_record)} AS kr", f"{self._texts()} AS k"]
            carried.append("k")
        if version:
            made.append(f"{_VERSION} AS v")
            carried.append("v")
        bucket = f"{self._hash('kr' if self._keyed else 'r', 0)} AS b"
        text = (
            f"SELECT {', '.join([bucket, self._hashes('r'), *carried])} FROM "
            f"(SELECT {', '.join(made)} FROM {self._table} t WHERE {where} AND {also} OFFSET 0) x"
        )
        return text, parameters

    def _id(self) -> str:
        return "k" if self._keyed else "ARRAY[h0::text, h1::text]"

    def _texts(self) -> str:
        """Return the key columns as texts, as their types write them (a cast to text would not, for some types)."""
        return f"ARRAY[{', '.join(f'concat({key})' for key in self._key)}]"

    def _where(self, bounds: Bounds) -> tuple[str, tuple[object, ...]]:
        conditions: list[str] = []
        parameters: list[object] = []
        for sign, border in ((">", bounds.low), ("<=", bounds.high)):
            if border is not None:
                conditions.append(f"({', '.join(self._key)}) {sign} ({', '.join(self._casts())})")
                parameters += border
        return " AND ".join(conditions) or "true", tuple(parameters)

    def _casts(self) -> list[str]:
        return [f"%s::{_name(*kind)}" for kind in self._place.key_types]

    def _columns(self) -> list[str]:
        return [_name(name) for name in self._names]

    def _value(self, name: str) -> str:
        """Return the SQL of a column's value in the form that both sides write."""
        form = self._forms.get(name)
        return _column(name) if form is None else form.replace("{c}", _column(name))

    def _among(self, ids: list[tuple[str, ...]]) -> tuple[str, tuple[object, ...]]:
        """Return the condition that finds these ids: by the key's index, or by the hashes of every row."""
        if self._keyed:
            parts = list(zip(self._key, (_name(*kind) for kind in self._place.key_types), strict=True))
        else:
            text = self._text(self._row)
            parts = [(self._hash(text, half), "bigint") for half in (0, 1)]
        names = [f"k{i}" for i in range(len(parts))]
        wanted = ", ".join(f"w.{name}::{kind}" for name, (_, kind) in zip(names, parts, strict=True))
        texts = ", ".join("%s::text[]" for _ in names)
        where = (
            f"({', '.join(part for part, _ in parts)}) IN "
            f"(SELECT {wanted} FROM unnest({texts}) AS w({', '.join(names)}))"
        )
        return where, tuple([one[i] for one in ids] for i in range(len(names)))

    def _text(self, record: str) -> str:
        return f"md5(convert_to({record}, 'UTF8'))" if self._portable else record

    def _hashes(self, text: str) -> str:
        return f"{self._hash(text, 0)} AS h0, {self._hash(text, 1)} AS h1"

    def _hash(self, text: str, half: int) -> str:
        if self._portable:
            return f"('x' || substr({text}, {1 + 16 * half}, 16))::bit(64)::bigint"
        return f'hashtextextended({text} COLLATE "C", {half})'


#: Sums as text: exact, and cheaper to read than decimals.
_SUMS: Final = "coalesce(sum(h0), 0)::text, coalesce(sum(h1), 0)::text"


def _record(columns: tuple[str, ...]) -> str:
    return f"ROW({', '.join(map(_column, columns))})::text"


def _column(name: str) -> str:
    return f"t.{_name(name)}"


def _name(*parts: str) -> str:
    """Return a quoted name for SQL in which ``%`` begins a placeholder."""
    return quote(*parts).replace("%", "%%")
