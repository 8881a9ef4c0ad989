"""A PostgreSQL-like database for simulations: MVCC, locks, commit before visibility, rewrites, and a log of commits."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from schemas.block import UNSENT, Op, Row
from schemas.table import Column, Kind, TableSchema, ValueType

_INT = ValueType(Kind.INT64)


def _table(name: str, key: int, *, keyless: bool = False) -> TableSchema:
    keys = tuple(Column(f"k{i}", _INT, key_position=i + 1, identity=True) for i in range(key))
    rest = (Column("small", _INT, identity=keyless), Column("big", _INT, identity=keyless))
    return TableSchema("s", name, keys + rest)


#: a: cut by pages; b: cut by its key's first column; u: no key, duplicates.
TABLES = {"a": _table("a", 1), "b": _table("b", 2), "u": _table("u", 0, keyless=True)}
STEPS = ["begin", "write", "commit", "appear", "abort", "vacuum"]
WRITES = ["insert", "update", "partial", "delete", "rekey", "truncate", "rewrite"]
CHUNKS = {"a": 2, "b": 2, "u": 1}

Rows = dict | Counter


@dataclass(frozen=True)
class Profile:
    """What kind of history: weights of the writers' operations, and of what happens beside the capture daemon.

    ``writes``: insert, update, partial update, delete, key change, truncate, rewrite. ``events``: a step of the
    database, of a worker, of the consumer, of a late message, of the operator.
    """

    writes: tuple[float, ...] = (6, 3, 3, 3, 3, 0.5, 0.3)
    vacuum: float = 0.3
    events: tuple[float, ...] = (40, 25, 15, 2, 0.8)
    kills: float = 0.01
    rewinds: float = 0.01


#: Histories of many kinds: a rule that is hard to break by one is easy to break by another.
PROFILES = [
    Profile(),
    Profile(writes=(6, 1, 9, 1, 3, 0.2, 0), events=(50, 6, 15, 1, 3), kills=0.001, rewinds=0),
    Profile(writes=(6, 2, 2, 2, 2, 3, 3), vacuum=3, events=(45, 12, 15, 2, 3), kills=0.003),
    Profile(events=(35, 20, 15, 4, 6), kills=0.03, rewinds=0.03),
]


@dataclass
class Version:
    page: int
    row: Row
    xmin: int
    xmax: int | None = None


@dataclass
class LogRow:
    table: str
    published: bool
    op: Op
    before: Row | None
    after: Row | None


@dataclass
class Tx:
    xid: int
    rows: list[LogRow] = field(default_factory=list)
    undo: list = field(default_factory=list)
    committed: bool = False
    rewrote: bool = False


def key_of(table: str, row: Row) -> tuple:
    return tuple(row[i] for i in TABLES[table].key)


class Database:
    """One source database; everything it does is drawn from ``rng``."""

    def __init__(self, rng: random.Random, profile: Profile) -> None:
        self.profile = profile
        self.rng, self.xid, self.serial = rng, 10, 0
        self.versions: dict[str, list[Version]] = {t: [] for t in TABLES}
        self.live: dict[str, dict] = {t: {} for t in TABLES}
        self.running: dict[int, Tx] = {}
        self.visible: set[int] = set()
        self.over: set[int] = set()
        self.log: list[tuple[int, list[LogRow]]] = []
        self.state: dict[str, Rows] = {t: Counter() if t == "u" else {} for t in TABLES}
        self.history = {t: [canonical(self.state[t])] for t in TABLES}
        self.published: set[str] = set()
        self.node: Counter = Counter()
        self.locks: dict[str, dict] = {t: {} for t in TABLES}

    # --- locks ---

    def lock(self, table: str, who: object, mode: str) -> bool:
        """S writers, X truncate and rewrite, A readers."""
        for other, held in self.locks[table].items():
            if other != who and not isinstance(other, tuple) and "X" in (held, mode):
                return False
        if mode == "X" or self.locks[table].get(who) != "X":
            self.locks[table][who] = mode
        return True

    def _lock_row(self, table: str, key: object, who: int) -> bool:
        return self.locks[table].setdefault(("row", key), who) == who

    def unlock(self, who: object) -> None:
        for held in self.locks.values():
            for name in [n for n, mode in held.items() if n == who or (isinstance(n, tuple) and mode == who)]:
                del held[name]

    # --- one random step ---

    def step(self) -> None:
        active = [t for t in self.running.values() if not t.committed]
        waiting = [t for t in self.running.values() if t.committed]
        what = self.rng.choices(STEPS, [5, 20, 5, 6, 0.4, self.profile.vacuum])[0]
        if what == "begin" and len(self.running) < 4:
            self.xid += 1
            self.running[self.xid] = Tx(self.xid)
        elif what == "write" and active:
            self._write(self.rng.choice(active))
        elif what == "commit" and active:
            self.commit(self.rng.choice(active))
        elif what == "appear" and waiting:
            self.appear(self.rng.choice(waiting))
        elif what == "abort" and active:
            self._abort(self.rng.choice(active))
        elif what == "vacuum":
            self._vacuum_full(self.rng.choice("ab"))

    def finish(self) -> None:
        for tx in list(self.running.values()):
            if not tx.committed:
                self.commit(tx)
            self.appear(tx)

    def commit(self, tx: Tx) -> None:
        """The commit is in the log; whether others see it already is another matter."""
        self.log.append((tx.xid, tx.rows))
        tx.committed = True
        for row in tx.rows:
            replay(self.state[row.table], row)
        for table in TABLES:
            self.history[table].append(canonical(self.state[table]))

    def appear(self, tx: Tx) -> None:
        self.visible.add(tx.xid)
        self.over.add(tx.xid)
        del self.running[tx.xid]
        self.unlock(tx.xid)

    def _abort(self, tx: Tx) -> None:
        if tx.rewrote:
            return
        for table, key, new, old in reversed(tx.undo):
            if new is not None:
                self.versions[table].remove(new)
                self.live[table].pop(key, None)
            else:
                old.xmax = None
                self.live[table][key] = old
        self.over.add(tx.xid)
        del self.running[tx.xid]
        self.unlock(tx.xid)

    def _vacuum_full(self, table: str) -> None:
        if self.lock(table, "vacuum", "X"):
            for version in self.versions[table]:
                version.page = self.rng.randrange(4)
            self.node[table] += 1
            self.unlock("vacuum")

    # --- writing ---

    def _value(self) -> bytes:
        self.serial += 1
        return b"%d" % self.serial

    def _new_key(self, table: str) -> tuple:
        if table == "a":
            return (b"%d" % self.rng.randrange(4),)
        return (b"%d" % self.rng.randrange(2), b"%d" % self.rng.randrange(2))

    def _put(self, tx: Tx, table: str, key: object, row: Row) -> None:
        version = Version(self.rng.randrange(4), row, tx.xid)
        self.versions[table].append(version)
        self.live[table][key] = version
        tx.undo.append((table, key, version, None))

    def _kill(self, tx: Tx, table: str, key: object) -> Row:
        version = self.live[table].pop(key)
        version.xmax = tx.xid
        tx.undo.append((table, key, None, version))
        return version.row

    def _emit(self, tx: Tx, table: str, op: Op, before: Row | None, after: Row | None) -> None:
        tx.rows.append(LogRow(table, table in self.published, op, before, after))

    def _write(self, tx: Tx) -> None:
        table = self.rng.choice(list(TABLES))
        kind = self.rng.choices(WRITES, self.profile.writes)[0]
        if kind in ("truncate", "rewrite"):
            if self.lock(table, tx.xid, "X"):
                self._replace_all(tx, table, kind)
        elif self.lock(table, tx.xid, "S"):
            if table == "u":
                self._write_keyless(tx, kind)
            elif kind == "insert":
                self._insert(tx, table)
            else:
                self._change(tx, table, kind)

    def _replace_all(self, tx: Tx, table: str, kind: str) -> None:
        if kind == "truncate":
            self.live[table].clear()
            self._emit(tx, table, Op.TRUNCATE, None, None)
        self.versions[table] = list(self.live[table].values())
        self.node[table] += 1
        tx.rewrote = True
        for version in self.versions[table]:
            version.xmin, version.page = tx.xid, self.rng.randrange(4)

    def _insert(self, tx: Tx, table: str) -> None:
        key = self._new_key(table)
        if self._lock_row(table, key, tx.xid) and key not in self.live[table]:
            row = (*key, self._value(), self._value())
            self._put(tx, table, key, row)
            self._emit(tx, table, Op.CREATE, None, row)

    def _change(self, tx: Tx, table: str, kind: str) -> None:
        if not self.live[table]:
            return
        key = self.rng.choice(sorted(self.live[table]))
        if not self._lock_row(table, key, tx.xid):
            return
        if kind == "delete":
            row = self._kill(tx, table, key)
            self._emit(tx, table, Op.DELETE, (*key, UNSENT, UNSENT), None)
            assert row
            return
        new = self._new_key(table) if kind == "rekey" else key
        if new != key and (not self._lock_row(table, new, tx.xid) or new in self.live[table]):
            return
        big = self.live[table][key].row[-1]
        whole = kind == "update"
        row = (*new, self._value(), self._value() if whole else big)
        self._kill(tx, table, key)
        self._put(tx, table, new, row)
        sent = row if whole else (*row[:-1], UNSENT)
        self._emit(tx, table, Op.UPDATE, (*key, UNSENT, UNSENT) if new != key else None, sent)

    def _write_keyless(self, tx: Tx, kind: str) -> None:
        row = (b"%d" % self.rng.randrange(2), b"0")
        if kind == "insert":
            self.serial += 1
            self._lock_row("u", self.serial, tx.xid)
            self._put(tx, "u", self.serial, row)
            self._emit(tx, "u", Op.CREATE, None, row)
        elif self.live["u"]:
            name = self.rng.choice(sorted(self.live["u"]))
            if self._lock_row("u", name, tx.xid):
                old = self._kill(tx, "u", name)
                if kind == "delete":
                    self._emit(tx, "u", Op.DELETE, old, None)
                else:
                    self._put(tx, "u", name, row)
                    self._emit(tx, "u", Op.UPDATE, old, row)

    # --- reading ---

    def snapshot(self) -> frozenset[int]:
        return frozenset(self.visible)

    def read(self, table: str, seen: frozenset[int]) -> list[Version]:
        return [v for v in self.versions[table] if v.xmin in seen and (v.xmax is None or v.xmax not in seen)]


def replay(state: Rows, row: LogRow) -> None:
    """What a source transaction does to the contents of a table."""
    change(state, row.table, row.op, row.before, row.after)


def change(state: Rows, table: str, op: Op, before: Row | None, after: Row | None) -> None:
    """One event, applied the simplest way: to a dict by key, or to a Counter of rows where there is no key."""
    if op is Op.TRUNCATE:
        state.clear()
    elif table == "u":
        if before is not None and state[before] > 0:
            state[before] -= 1
        if after is not None:
            state[after] += 1
    else:
        _change_keyed(state, table, before, after)


def _change_keyed(state: dict, table: str, before: Row | None, after: Row | None) -> None:
    old = key_of(table, before) if before is not None else key_of(table, after)
    base = state.pop(old, None)
    if after is not None:
        if UNSENT in after:
            if base is None:
                return
            after = tuple(b if a is UNSENT else a for a, b in zip(after, base, strict=True))
        state[key_of(table, after)] = after


def canonical(state: Rows) -> tuple:
    return tuple(sorted((k, v) for k, v in state.items() if v))
